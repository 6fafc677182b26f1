import assert from 'node:assert/strict'
import { errorCode } from '#base'
import { defineScenario } from '#sim'
import { anySignal, createInput, HostWorld, reserve } from './fixture/host-world.ts'
import { exitWith } from './fixture/simulated-hardware.ts'
import type { LocalHost } from './local-host.ts'
import type { MachineSeen } from './model/machine-seen.ts'

const nonce = { nonce: undefined }
const stopOptions = { ...nonce, signal: undefined, timeoutMs: undefined }
const updateOptions = {
  ...nonce,
  currentVersion: undefined,
  skipLaunch: false,
  skipSecrets: false,
  minSecretsVersion: 0,
  leaseTtlS: 0,
  owner: 'someone',
}

const asks: readonly ((host: LocalHost, id: string) => Promise<unknown>)[] = [
  (host, id) => host.start(id, nonce, anySignal),
  (host, id) => host.start(id, nonce, anySignal),
  (host, id) => host.stop(id, stopOptions, anySignal),
  (host, id) => host.suspend(id, nonce, anySignal),
  (host, id) => host.restart(id, { ...stopOptions, force: false }, anySignal),
  (host, id) => host.update(id, { ...updateOptions, config: { image: 'nginx:2' } }, anySignal),
  (host, id) => host.update(id, { ...updateOptions, config: { image: 'missing' } }, anySignal),
  (host, id) => host.destroy(id, { ...nonce, force: true }, anySignal),
]

/**
 * One host with many machines, asked for this and that, whose guests end, whose acts fail now and then, and
 * whose flyd dies of its own, of its power, and inside of writes. In the end every machine is in a state that
 * it stays in, and the host has what those states need and nothing else.
 */
export const scenario = defineScenario({
  name: 'flyd',
  describe: 'whatever is asked, fails and dies, each machine ends whole and nothing leaks',
  defaults: {
    machines: 12,
    requests: 150,
    everyMs: 40,
    failRatio: 0.03,
    crashEveryMs: 700,
    diskCrashRatio: 0.002,
  },
  async run(world, options) {
    const host = new HostWorld(world)
    const dice = world.random('requests')
    const failures = world.random('failures')
    host.onAct = async () => {
      if (failures.next() < options.failRatio) throw new Error('not now')
    }
    const idOf = (at: number) => at.toString(16).padStart(14, '0')
    let made = 0
    host.node.disk.crashRatio = options.diskCrashRatio
    for (let sent = 0; sent < options.requests; sent += 1) {
      await world.runAsync({ forMs: dice.next() * 2 * options.everyMs })
      if (dice.next() < options.everyMs / options.crashEveryMs) {
        host.node.crash(dice.int(2) === 0 ? 'power' : 'process')
      }
      await host.up()
      const id = idOf(dice.int(Math.max(1, made)))
      if (made < options.machines || dice.int(20) === 0) {
        const fresh = idOf(made)
        made += 1
        if (host.book !== undefined) reserve(host.book, fresh, 0)
        send(host, (live) => live.create(createInput(fresh), anySignal))
      } else if (dice.int(10) === 0) {
        host.hardware.end(id, exitWith(dice.int(2), world.nowMs))
      } else {
        const ask = asks[dice.int(asks.length)]
        if (ask !== undefined) send(host, (live) => ask(live, id))
      }
    }
    host.node.disk.heal()
    host.onAct = async () => undefined
    await host.settle()
    checkWhole(host)
  },
})

/** As a client that does not wait: refusals and deaths are its answer. */
function send(host: HostWorld, act: (live: LocalHost) => Promise<unknown>): void {
  host.world.after(0, () => {
    if (!host.node.isReady) return
    act(host.host).catch((error: unknown) => {
      if (host.node.isReady) assert.match(errorCode(error) ?? String(error), /^flyd\./)
    })
  })
}

function checkWhole({ host, hardware, book }: HostWorld): void {
  const machines = [...host.view.machines()]
  const isUp = ({ state }: MachineSeen) => state === 'started' || state === 'suspended'
  const isDown = ({ state }: MachineSeen) => ['stopped', 'failed', 'destroyed'].includes(state)
  const restless = machines.filter((one) => !isUp(one) && !isDown(one))
  assert.deepEqual(
    restless.map(({ id, state }) => ({ id, state })),
    [],
  )
  const up = machines
    .filter(isUp)
    .map(({ id }) => id)
    .sort()
  const { guests, roots, networks, attachments } = hardware.inventory()
  assert.deepEqual(guests.map(({ id }) => id).sort(), up, 'guests')
  assert.deepEqual([roots, networks, attachments], [up, up, []], 'what guests stand on')
  for (const { id, state } of machines.filter(isUp)) {
    const guest = hardware.guests.get(id)
    assert.deepEqual(
      [guest?.state, guest?.runsEntrypoint, hardware.roots.get(id)],
      [state === 'started' ? 'running' : 'suspended', true, host.view.machine(id)?.version],
    )
  }
  assert.equal(book?.used.machines, up.length, 'room')
  assert.deepEqual(host.engine.runs(), [])
}
