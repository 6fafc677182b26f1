import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import test from 'node:test'
import { createLog, pollUntil } from '#base'
import { enterOwnHost } from '#net6'
import { machineHold } from '../machine/capacity.ts'
import { figuresOf, withFigures } from './figures.fixture.ts'
import { loadFlydConfig } from './flyd-config.ts'
import { openFlyd } from './open-flyd.ts'
import { TrialHost } from './trial-host.fixture.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const never = new AbortController().signal
const DEADLINE = { deadlineMs: 180_000 }

enterOwnHost()

test('a virtual machine has the same life: network, checks, a flyd that is away, and no trace at its end', async () => {
  await using trial = await TrialHost.open(0)
  const config = { ...loadFlydConfig(trial.configFile), runtime: 'qemu' } as const
  const start = () => openFlyd(config, { log, version: '0', accelerator: 'tcg' })
  let flyd = await start()
  try {
    const input = trial.newMachine({
      ...withFigures,
      checks: { alive: { type: 'http', port: 80, path: '/index.html', grace_period: '0s' } },
    })
    const { id } = input
    const waitFor = (state: string) => {
      const states = [state]
      const options = { states, version: undefined, fromEventId: undefined, timeoutMs: 180_000 }
      return flyd.host.wait(id, options, never)
    }
    const hold = machineHold(input.config)
    assert.equal(flyd.book.reserve(input.reservation, hold, 180_000, performance.now()), undefined)
    await flyd.host.create(input, never)
    await waitFor('started')
    const isPassing = async () => {
      const { checks } = await flyd.host.machine(id, never)
      return (checks as { output: string }[])[0]?.output === 'a page\n'
    }
    await pollUntil('the check to pass', isPassing, DEADLINE)
    const found = await figuresOf(flyd.host)
    assert.match(found.get('eggs')?.join() ?? '', new RegExp(`,instance=${id},nest=a,.* 3$`))
    const ofKernel = ['cpu', 'load_average', 'memory_mem_total', 'disk_reads_completed']
    const ofBoth = ['net_sent_bytes', 'filesystem_blocks', 'filefd_maximum', 'cpu_baseline', 'up']
    const names = [...ofKernel, ...ofBoth].map((name) => `fly_instance_${name}`)
    assert.deepEqual(
      names.filter((name) => !found.has(name)),
      [],
    )
    await flyd[Symbol.asyncDispose]()
    flyd = await start()
    const { private_ip: address, state } = await flyd.host.machine(id, never)
    assert.equal(state, 'started')
    const around = { stdin: '', container: undefined, inMachine: false, timeoutMs: 60_000 }
    const command = ['ip', '-6', 'address', 'show', 'dev', 'eth0']
    const { stdout } = await flyd.host.exec(id, { command, ...around }, never)
    assert.match(stdout, new RegExp(`inet6 ${address}/112`))
    const { limitMb, availableMb } = await flyd.host.memory(id, never)
    assert.ok(availableMb < limitMb)
    const less = await flyd.host.limitMemory(id, limitMb - 16, never)
    assert.equal(less.limitMb, limitMb - 16)
    assert.equal(await flyd.host.reclaimMemory(id, 8, never), 8)
    const needed = less.limitMb - less.availableMb
    const tooLittle = flyd.host.limitMemory(id, Math.floor(needed / 2), never)
    await assert.rejects(tooLittle, {
      code: 'flyd.state_bad',
      message: /the machine needs \d+ MB now/,
    })
    await flyd.host.destroy(id, { force: true, nonce: undefined }, never)
    await waitFor('destroyed')
    assert.equal(existsSync(`/run/netns/godwit-machine-${id}`), false)
  } finally {
    await flyd[Symbol.asyncDispose]()
  }
})
