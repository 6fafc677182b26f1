import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { createLog, errorCode, newMachineId, newVolumeId, pollUntil, systemRandom } from '#base'
import {
  enterOwnHost,
  MachineNetworks,
  networkStatus,
  openHostNetwork,
  openSystem,
  readHostField,
} from '#net6'
import type { HostCreate, MachineHost } from '../host.ts'
import { machineHold } from '../machine/capacity.ts'
import type { MachineConfigJson } from '../machine-json.ts'
import { volumeHold } from '../volume/volume-hold.ts'
import { askFlyd } from './admin-client.ts'
import { loadFlydConfig } from './flyd-config.ts'
import { openFlyd, type RunningFlyd } from './open-flyd.ts'
import { TrialHost } from './trial-host.fixture.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const never = new AbortController().signal
const DEADLINE = { deadlineMs: 60_000 }
const unnamed = { signal: undefined, timeoutMs: undefined, nonce: undefined }
const shell = (script: string): MachineConfigJson => ({ init: { exec: ['/bin/sh', '-c', script] } })

enterOwnHost()

let trial: TrialHost
let flyd: RunningFlyd

const start = () => openFlyd(loadFlydConfig(trial.configFile), { log, version: '0' })

before(async () => {
  trial = await TrialHost.open(0)
  flyd = await start()
})
after(async () => {
  await flyd[Symbol.asyncDispose]()
  await trial[Symbol.asyncDispose]()
})

async function waitFor(id: string, ...states: string[]) {
  const options = { version: undefined, fromEventId: undefined, timeoutMs: 60_000 }
  return await flyd.host.wait(id, { states, ...options }, never)
}

async function create(
  config: MachineConfigJson,
  changes: Partial<HostCreate> = {},
): Promise<string> {
  const input = trial.newMachine(config, changes)
  const hold = machineHold(input.config)
  assert.equal(flyd.book.reserve(input.reservation, hold, 60_000, performance.now()), undefined)
  await flyd.host.create(input, never)
  return input.id
}

async function launch(config: MachineConfigJson): Promise<string> {
  const id = await create(config)
  await waitFor(id, 'started')
  return id
}

async function exec(id: string, ...command: string[]) {
  const around = { stdin: '', container: undefined, inMachine: false, timeoutMs: 20_000 }
  return await flyd.host.exec(id, { command, ...around }, never)
}

async function destroy(id: string): Promise<void> {
  await flyd.host.destroy(id, { force: true, nonce: undefined }, never)
  await waitFor(id, 'destroyed')
}

const texts = async (id: string) =>
  ((await askFlyd(trial.socket, 'GET', `/logs/${id}`)) as { text: string }[]).map(
    ({ text }) => text,
  )

/** The newest event of the kind. */
async function eventOf(host: MachineHost, id: string, type: string) {
  const events = await host.events(id, 50, never)
  // biome-ignore lint/suspicious/noExplicitAny: events are JSON of many shapes
  return events.find((event) => (event as any).type === type) as any
}

test('a machine of a registry’s image runs with env, network and checks, and leaves nothing', async () => {
  const id = await launch({
    env: { GREETING: 'hello' },
    checks: { alive: { type: 'http', port: 80, path: '/index.html', grace_period: '0s' } },
  })
  const { stdout } = await exec(
    id,
    'sh',
    '-c',
    'echo $GREETING $FLY_MACHINE_ID $FLY_APP_NAME $FLY_REGION',
  )
  assert.equal(stdout, `hello ${id} heron ams\n`)
  const machine = await flyd.host.machine(id, never)
  const { stdout: hosts } = await exec(id, 'cat', '/etc/hosts')
  assert.match(hosts, new RegExp(`${machine.private_ip}\\s+fly-local-6pn`))
  assert.match(String(machine.image_ref['digest']), /^sha256:[0-9a-f]{64}$/)
  await pollUntil(
    'the check to pass',
    async () => {
      const [check] = (await flyd.host.machine(id, never)).checks as { output: string }[]
      return check?.output === 'a page\n'
    },
    DEADLINE,
  )
  const [process] = await flyd.host.processes(id, never)
  assert.match(String(process?.['command']), /^\/bin\/httpd -f/)
  const sockets = process?.['listen_sockets'] as { proto: string; address: string }[]
  assert.match(sockets.map(({ proto, address }) => `${proto} ${address}`).join(), /^tcp .*:\d+$/)
  const { limitMb, availableMb } = await flyd.host.memory(id, never)
  assert.ok(availableMb > 0 && availableMb <= limitMb, `${availableMb} of ${limitMb}`)
  assert.equal((await flyd.host.limitMemory(id, limitMb - 16, never)).limitMb, limitMb - 16)
  await assert.rejects(flyd.host.limitMemory(id, limitMb + 1, never), { code: 'flyd.argument_bad' })
  assert.ok((await flyd.host.reclaimMemory(id, 1, never)) >= 0)
  assert.equal((await flyd.host.memory(id, never)).limitMb, limitMb - 16)
  await destroy(id)
  assert.equal(existsSync(`/run/netns/godwit-machine-${id}`), false)
  assert.deepEqual(readdirSync(join(trial.networkFolder, 'machines')), [])
  const status = (await askFlyd(trial.socket, 'GET', '/status')) as { guests: number }
  assert.equal(status.guests, 0)
})

test('an exec has its output, input and exit code, ends in time, and a missing program is 127', async () => {
  const id = await launch({})
  const around = { container: undefined, inMachine: false }
  const cat = { command: ['cat'], stdin: 'typed', timeoutMs: 20_000, ...around }
  assert.equal((await flyd.host.exec(id, cat, never)).stdout, 'typed')
  assert.deepEqual(await exec(id, 'sh', '-c', 'echo out; echo err >&2; exit 3'), {
    ...{ exit_code: 3, exit_signal: 0, stdout: 'out\n', stderr: 'err\n' },
  })
  assert.equal((await exec(id, 'no-such-program')).exit_code, 127)
  const late = { command: ['sleep', '60'], stdin: '', timeoutMs: 100, ...around }
  await assert.rejects(flyd.host.exec(id, late, never), { code: 'flyd.deadline_exceeded' })
  await destroy(id)
})

test('what a machine says is in its log, to the last line without an end', async () => {
  const id = await create({
    ...shell('echo one; echo two >&2; printf three; exit 4'),
    restart: { policy: 'no' },
  })
  await waitFor(id, 'stopped')
  assert.deepEqual((await texts(id)).sort(), ['one', 'three', 'two'])
  const { request } = await eventOf(flyd.host, id, 'exit')
  assert.equal(request.exit_event.exit_code, 4)
  assert.equal(request.exit_event.requested_stop, false)
  await destroy(id)
})

test('a machine that takes more memory than it has is told as such', async () => {
  const id = await create({
    ...shell('x=a; while true; do x=$x$x; done'),
    restart: { policy: 'no' },
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 256 },
  })
  await waitFor(id, 'stopped')
  const { request } = await eventOf(flyd.host, id, 'exit')
  assert.equal(request.exit_event.oom_killed, true)
  await destroy(id)
})

test('a command that is not in the image fails the machine with its reason', async () => {
  const id = await create({ init: { exec: ['/no/such'] }, restart: { policy: 'no' } })
  await waitFor(id, 'destroyed', 'failed', 'stopped')
  await destroy(id).catch((error: unknown) => assert.equal(errorCode(error), 'flyd.not_found'))
})

test('an image that is not there fails the machine, and leaves nothing of it', async () => {
  const id = await create({ image: trial.image.replace('busybox', 'none') })
  await waitFor(id, 'destroyed')
})

test('a volume keeps its data from machine to machine, and its file system grows with it', async () => {
  const volume = newVolumeId(systemRandom)
  const about = { ...{ id: volume, reservation: volume }, ...{ appId: 'app1', orgId: 'org1' } }
  const size = {
    name: 'data',
    region: 'ams',
    sizeGb: 1,
    isEncrypted: false,
    fstype: 'ext4',
  } as const
  const settings = { snapshotRetention: undefined, autoBackupEnabled: undefined }
  const source = { snapshotId: undefined, sourceVolumeId: undefined }
  flyd.book.reserve(volume, volumeHold(1), 60_000, performance.now())
  await flyd.host.volumes.create({ ...about, ...size, ...settings, ...source }, never)
  const state = async () => (await flyd.host.volumes.get(volume, never)).state
  await pollUntil('the volume', async () => (await state()) === 'created', DEADLINE)
  const config = { mounts: [{ volume, path: '/data' }] }
  const first = await launch(config)
  assert.equal((await exec(first, 'sh', '-c', 'echo kept > /data/file; sync')).exit_code, 0)
  await flyd.host.volumes.createSnapshot(volume, never)
  const [taken] = await pollUntil(
    'the snapshot, while the machine writes',
    async () => {
      const all = (await flyd.host.volumes.snapshots(volume, never)) as Record<string, unknown>[]
      return all[0]?.['status'] === 'created' && all
    },
    DEADLINE,
  )
  assert.equal(taken?.['volume_size'], 2 ** 30)
  const stored = Number(taken?.['size'])
  assert.ok(stored > 0 && stored < 2 ** 29, `what was written, not what could be: ${stored}`)
  await flyd.host.stop(first, unnamed, never)
  await waitFor(first, 'stopped')
  await flyd.host.volumes.extend(volume, 2, never)
  await pollUntil(
    'it to grow',
    async () => (await flyd.host.volumes.get(volume, never)).size_gb === 2,
    DEADLINE,
  )
  await destroy(first)
  const second = await launch(config)
  assert.equal((await exec(second, 'cat', '/data/file')).stdout, 'kept\n')
  const { stdout } = await exec(second, 'sh', '-c', 'df -m /data | tail -1')
  assert.ok(Number(stdout.split(/\s+/)[1]) > 1_500, stdout)
  await destroy(second)
  await flyd.host.volumes.destroy(volume, never)
  await pollUntil('its end', async () => (await state()) === 'destroyed', DEADLINE)
})

test('a machine keeps its address from stop to start', async () => {
  const id = await launch({})
  const addressOf = async () => (await flyd.host.machine(id, never)).private_ip
  const address = await addressOf()
  await flyd.host.stop(id, unnamed, never)
  await waitFor(id, 'stopped')
  assert.equal(existsSync(`/run/netns/godwit-machine-${id}`), false)
  await flyd.host.start(id, { nonce: undefined }, never)
  await waitFor(id, 'started')
  assert.equal(await addressOf(), address)
  const { stdout } = await exec(id, 'ip', '-6', 'address', 'show', 'dev', 'eth0')
  assert.match(stdout, new RegExp(`inet6 ${address}/112`))
  await destroy(id)
})

test('a network policy holds from the next start on, and goes on while rows cannot be had', async (t) => {
  t.after(() => {
    trial.policies = []
    trial.hasCorrosion = true
  })
  const web = await launch({})
  const { private_ip: address } = await flyd.host.machine(web, never)
  const id = await launch({ metadata: { role: 'worker' } })
  const get = `printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${address} 80`
  const ask = async () => (await exec(id, 'sh', '-c', get)).stdout
  const reached = () => pollUntil('a page', async () => /a page/.test(await ask()), DEADLINE)
  const restart = async () => {
    await flyd.host.stop(id, unnamed, never)
    await waitFor(id, 'stopped')
    await flyd.host.start(id, { nonce: undefined }, never)
    await waitFor(id, 'started')
  }
  await reached()
  const rules = [{ action: 'allow', direction: 'egress', ports: [{ protocol: 'tcp', port: 443 }] }]
  trial.policies = [['p1', '{"metadata":{"role":"worker"}}', JSON.stringify(rules)]]
  await reached()
  await restart()
  assert.equal(await ask(), '')
  const drops = async () =>
    (await networkStatus({ system: openSystem(), folder: trial.networkFolder })).machines.find(
      (one) => one.id === id,
    )?.counters.drops.egress_policy ?? 0
  assert.ok((await drops()) > 0)
  trial.hasCorrosion = false
  await restart()
  assert.equal(await ask(), '')
  trial.hasCorrosion = true
  trial.policies = []
  await restart()
  await reached()
  await destroy(id)
  await destroy(web)
})

test('a suspended machine goes on where it stood', async () => {
  const id = await launch(
    shell('i=0; while true; do i=$((i+1)); echo $i > /tmp/count; sleep 0.05; done'),
  )
  await pollUntil(
    'it to count',
    async () => (await exec(id, 'cat', '/tmp/count')).exit_code === 0,
    DEADLINE,
  )
  await flyd.host.suspend(id, { nonce: undefined }, never)
  await waitFor(id, 'suspended')
  await flyd.host.start(id, { nonce: undefined }, never)
  await waitFor(id, 'started')
  const { stdout } = await exec(id, 'sh', '-c', 'cat /tmp/count; cat /proc/1/comm')
  assert.ok(Number.parseInt(stdout, 10) > 0)
  await destroy(id)
})

test('machines run on while flyd is away; it takes them over, and learns of an end that it missed', async () => {
  const lives = await launch(shell('while true; do date +%s%N; sleep 0.2; done'))
  const dies = await launch({
    ...shell('while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 5'),
    restart: { policy: 'no' },
  })
  const said = async (id: string) => (await texts(id)).length
  await pollUntil('a line', async () => (await said(lives)) > 0, DEADLINE)
  await exec(dies, 'sh', '-c', '(sleep 1; touch /tmp/end) >/dev/null 2>&1 &')
  await flyd[Symbol.asyncDispose]()
  flyd = await start()
  await waitFor(dies, 'stopped')
  assert.equal((await eventOf(flyd.host, dies, 'exit')).request.exit_event.exit_code, 5)
  assert.equal((await flyd.host.machine(lives, never)).state, 'started')
  assert.equal((await exec(lives, 'true')).exit_code, 0)
  const before = await said(lives)
  await pollUntil('more lines', async () => (await said(lives)) > before, DEADLINE)
  await destroy(lives)
  await destroy(dies)
})

test('port 22 of a machine’s address is its SSH server for its network, while it runs and flyd does', async () => {
  const ids = [await launch({}), await launch({})] as const
  const other = await create({}, { networkId: 8 })
  await waitFor(other, 'started')
  const { private_ip: address } = await flyd.host.machine(ids[0], never)
  const asks = async (id: string) =>
    (await exec(id, 'sh', '-c', `timeout 9 nc -w 3 ${address} 22 </dev/null | head -c 14`)).stdout
  assert.equal(await asks(ids[1]), 'SSH-2.0-godwit')
  assert.equal(await asks(other), '')
  await flyd[Symbol.asyncDispose]()
  flyd = await start()
  assert.equal(await asks(ids[1]), 'SSH-2.0-godwit')
  await flyd.host.stop(ids[0], unnamed, never)
  await waitFor(ids[0], 'stopped')
  assert.equal(await asks(ids[1]), '')
  for (const id of [...ids, other]) await destroy(id)
})

test('what belongs to no machine is removed at the start, and only one flyd runs in a folder', async () => {
  const stray = newMachineId(systemRandom)
  await assert.rejects(start(), { code: 'flyd.conflict' })
  await flyd[Symbol.asyncDispose]()
  const folder = trial.networkFolder
  const host = (await readHostField(folder, 'h1')) ?? 0
  const system = openSystem()
  const programs = await openHostNetwork({ system, host })
  const networks = await MachineNetworks.open({ system, programs, folder, host })
  await networks.make({ id: stray, networkId: 7, kind: 'container' })
  assert.equal(existsSync(`/run/netns/godwit-machine-${stray}`), true)
  flyd = await start()
  assert.equal(existsSync(`/run/netns/godwit-machine-${stray}`), false)
  assert.deepEqual(readdirSync(join(folder, 'machines')), [])
})

test('a host that is cordoned refuses new machines, also after a restart, until it is open again', async () => {
  const hold = machineHold({ image: 'a' })
  await askFlyd(trial.socket, 'POST', '/mode?is=cordoned')
  await flyd[Symbol.asyncDispose]()
  flyd = await start()
  assert.deepEqual(flyd.book.reserve('r1', hold, 1_000, performance.now()), { reason: 'cordoned' })
  await askFlyd(trial.socket, 'POST', '/mode?is=open')
  assert.equal(flyd.book.reserve('r1', hold, 1_000, performance.now()), undefined)
  await assert.rejects(askFlyd(trial.socket, 'POST', '/mode?is=odd'))
})

test('figures and health are served on an address of their own, commands only over the socket', async () => {
  const url = `http://127.0.0.1:${flyd.adminPort}`
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  assert.match(
    await (await fetch(`${url}/metrics`)).text(),
    /flyd_capacity_used_ratio\{resource="memory"\}/,
  )
  assert.equal((await fetch(`${url}/status`)).status, 404)
})
