import assert from 'node:assert/strict'
import test from 'node:test'
import { errorCode } from '#base'
import { fc } from '#property'
import { anySignal, createInput, HostWorld, reserve } from './fixture/host-world.ts'
import { MACHINE } from './fixture/stories.ts'
import type { LocalHost } from './local-host.ts'

const nonce = { nonce: undefined }
const stopOptions = { ...nonce, signal: undefined, timeoutMs: undefined }

const update = (host: LocalHost, currentVersion?: string) =>
  host.update(
    MACHINE,
    {
      ...nonce,
      config: { image: 'nginx:2' },
      currentVersion,
      skipLaunch: false,
      skipSecrets: false,
      minSecretsVersion: 0,
      leaseTtlS: 0,
      owner: 'someone',
    },
    anySignal,
  )

/** What callers ask for, and where it leads if nothing comes after it. */
const asks = {
  start: { call: (host: LocalHost) => host.start(MACHINE, nonce, anySignal), end: 'started' },
  stop: { call: (host: LocalHost) => host.stop(MACHINE, stopOptions, anySignal), end: 'stopped' },
  suspend: { call: (host: LocalHost) => host.suspend(MACHINE, nonce, anySignal), end: 'suspended' },
  restart: {
    call: (host: LocalHost) => host.restart(MACHINE, { ...stopOptions, force: false }, anySignal),
    end: 'started',
  },
  destroy: {
    call: (host: LocalHost) => host.destroy(MACHINE, { ...nonce, force: true }, anySignal),
    end: 'destroyed',
  },
} as const

type Ask = keyof typeof asks

async function running(): Promise<HostWorld> {
  const world = new HostWorld()
  if (world.book !== undefined) reserve(world.book, MACHINE, world.world.nowMs)
  await world.request(
    (host) => host.create(createInput(MACHINE), anySignal),
    () => false,
  )
  await world.settle()
  return world
}

/** Sends each at its time, and remembers the last one that was taken and did something. */
async function storm(world: HostWorld, asked: readonly { ask: Ask; afterMs: number }[]) {
  let last: string = 'started'
  for (const { ask, afterMs } of asked) {
    await world.world.runAsync({ forMs: afterMs })
    const before = world.host.view.machine(MACHINE)
    const { call, end } = asks[ask]
    await world.request(
      (host) =>
        call(host).then(
          () => {
            if (world.host.view.machine(MACHINE) !== before) last = end
          },
          (error: unknown) => assert.match(errorCode(error) ?? '', /^flyd\./),
        ),
      () => true,
    )
  }
  await world.settle()
  return last
}

const asked = (names: readonly Ask[]) =>
  fc.array(
    fc.record({ ask: fc.constantFrom(...names), afterMs: fc.integer({ min: 0, max: 12 }) }),
    { minLength: 1, maxLength: 14 },
  )

test('storms of starts, stops, suspensions and restarts end in the last accepted state, with one guest at most', async () => {
  const property = fc.asyncProperty(
    asked(['start', 'stop', 'suspend', 'restart']),
    async (calls) => {
      const world = await running()
      const last = await storm(world, calls)
      const { guests, roots, networks } = world.hardware.inventory()
      assert.equal(world.host.view.machine(MACHINE)?.state, last)
      assert.equal(guests.length, last === 'stopped' ? 0 : 1)
      if (last === 'started')
        assert.deepEqual([guests[0]?.state, guests[0]?.runsEntrypoint], ['running', true])
      if (last === 'stopped') assert.deepEqual([roots, networks], [[], []])
      assert.equal(world.book?.used.machines, last === 'stopped' ? 0 : 1)
    },
  )
  await fc.assert(property, { numRuns: 150 })
})

test('a destroy in a storm is the end, and nothing is left', async () => {
  const property = fc.asyncProperty(
    asked(['start', 'stop', 'restart', 'destroy']),
    async (calls) => {
      const world = await running()
      await storm(world, [...calls, { ask: 'destroy', afterMs: 3 }])
      assert.equal(world.host.view.machine(MACHINE)?.state, 'destroyed')
      const nothing = {
        guests: [],
        roots: [],
        attachments: [],
        networks: [],
        addresses: [],
        volumes: [],
      }
      assert.deepEqual(world.hardware.inventory(), nothing)
      assert.equal(world.book?.holderCount, 0)
    },
  )
  await fc.assert(property, { numRuns: 60 })
})

test('of two updates at once one wins, and the other is told so', async () => {
  const world = await running()
  const { version } = world.host.view.machine(MACHINE) ?? {}
  const outcomes: string[] = []
  await world.request(
    async (host) => {
      const both = await Promise.allSettled([update(host, version), update(host, version)])
      for (const one of both) {
        outcomes.push(one.status === 'fulfilled' ? 'won' : (errorCode(one.reason) ?? ''))
      }
    },
    () => true,
  )
  assert.deepEqual(outcomes, ['won', 'flyd.conflict'])
  await world.settle()
  await world.request(
    (host) => assert.rejects(update(host, version), { code: 'flyd.conflict' }),
    () => true,
  )
  assert.equal(world.host.view.machine(MACHINE)?.config.image, 'nginx:2')
})
