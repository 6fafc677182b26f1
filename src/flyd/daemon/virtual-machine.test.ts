import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { createLog, newMachineId, pollUntil, systemRandom } from '#base'
import { enterOwnHost, MachineNetworks, openHostNetwork, openSystem, readHostField } from '#net6'
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
  let made = ''
  const waitFor = (state: string) => {
    const states = [state]
    const options = { states, version: undefined, fromEventId: undefined, timeoutMs: 180_000 }
    return flyd.host.wait(made, options, never)
  }
  const destroy = async () => {
    await flyd.host.destroy(made, { force: true, nonce: undefined }, never)
    await waitFor('destroyed')
  }
  try {
    const input = trial.newMachine({
      ...withFigures,
      checks: { alive: { type: 'http', port: 80, path: '/index.html', grace_period: '0s' } },
    })
    const { id } = input
    const hold = machineHold(input.config)
    assert.equal(flyd.book.reserve(input.reservation, hold, 180_000, performance.now()), undefined)
    await flyd.host.create(input, never)
    made = id
    await waitFor('started')
    const isPassing = async () => {
      const { checks } = await flyd.host.machine(id, never)
      return (checks as { output: string }[])[0]?.output === 'a page\n'
    }
    await pollUntil('the check to pass', isPassing, DEADLINE)
    // An emulated machine may answer too late for one look: it is told as one that is not up, and looked at again.
    const found = await pollUntil(
      'the figures of the machine',
      async () => {
        const all = await figuresOf(flyd.host)
        return all.has('fly_instance_cpu') ? all : undefined
      },
      { ...DEADLINE, intervalMs: 1_000 },
    )
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
    // Beside it on this host, in its network: what a virtual machine answers itself is past its port 22.
    const field = (await readHostField(trial.networkFolder, 'h1')) ?? 0
    const system = openSystem()
    const programs = await openHostNetwork({ system, host: field })
    const folder = join(trial.folder, 'beside')
    const networks = await MachineNetworks.open({ system, programs, folder, host: field })
    const spec = { id: newMachineId(systemRandom), networkId: input.networkId } as const
    const beside = await networks.make({ ...spec, kind: 'container' })
    const ask = `timeout 9 busybox nc -w 3 ${address} 22 </dev/null | head -c 14`
    const inBeside = [`--net=${beside.guest.netnsPath}`, '--', 'sh', '-c', ask]
    assert.equal((await system.run('nsenter', inBeside)).stdout, 'SSH-2.0-godwit')
    await networks.remove(beside.id)
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
    await destroy()
    made = ''
    assert.equal(existsSync(`/run/netns/godwit-machine-${id}`), false)
  } finally {
    // Left there, it would hold the host's folders, and that error would stand in the place of why.
    if (made !== '') await destroy().catch(console.error)
    await flyd[Symbol.asyncDispose]()
  }
})
