/**
 * What every runtime promises. A runtime's own test calls `testRuntime`; each promise is shown with the
 * real init, through the agent, on machines of its own.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buffer, text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { type MachineId, newMachineId, pollUntil, systemRandom } from '#base'
import { type Agent, connectAgent } from './agent/agent.ts'
import type { EntrypointState } from './agent/answers.ts'
import type { GuestConfig } from './agent/machine-config.ts'
import { Cgroup } from './cgroup/cgroup.ts'
import { scriptConfig, TrialDisks } from './contract-machine.ts'
import { testMemory } from './contract-memory.ts'
import { TrialNetwork } from './contract-network.ts'
import { withDevices } from './guest-devices.ts'
import type { GuestSpec } from './guest-spec.ts'
import type { Guest, Runtime } from './runtime.ts'
import { tracesOnHost } from './traces-on-host.ts'

export interface RuntimeSubject {
  readonly name: string
  /** Exports `openRuntime(stateDir)`; loaded here and in processes that are killed. */
  readonly subjectPath: string
  /** A virtual machine's kernel tells init who died for want of memory. */
  readonly isVirtual: boolean
  /** How many machines are made one after another to look for leaks; GODWIT_LEAK_ROUNDS says it for all. */
  readonly leakRounds: number
}

const STATE_MS = 180_000
const RECONNECTS = 20

export function testRuntime(subject: RuntimeSubject): void {
  describe(`the runtime ${subject.name}`, () => {
    let disks: TrialDisks
    let runtime: Runtime
    before(async () => {
      disks = new TrialDisks()
      const { openRuntime } = await import(subject.subjectPath)
      runtime = await openRuntime(disks.stateDir)
    })
    after(async () => {
      for (const { id } of await runtime.list()) await runtime.remove(id)
      disks.remove()
    })
    const bench: Bench = {
      subject,
      disks: () => disks,
      runtime: () => runtime,
    }
    testStart(bench)
    testEnd(bench)
    testInside(bench)
    testMemory(subject, (t, script) => run(t, bench, script))
    testManager(bench)
  })
}

interface Bench {
  readonly subject: RuntimeSubject
  disks(): TrialDisks
  runtime(): Runtime
}

export interface Running {
  readonly spec: GuestSpec
  readonly guest: Guest
  readonly agent: Agent
}

async function boot(t: TestContext, bench: Bench, changes?: Partial<GuestSpec>) {
  const spec = bench.disks().spec(changes)
  const guest = await bench.runtime().boot(spec)
  t.after(async () => {
    guest[Symbol.dispose]()
    await bench.runtime().remove(spec.id)
  })
  return { spec, guest }
}

async function run(
  t: TestContext,
  bench: Bench,
  script: string,
  { config, ...changes }: Partial<GuestSpec> & { config?: Partial<GuestConfig> } = {},
): Promise<Running> {
  const { spec, guest } = await boot(t, bench, changes)
  const agent = await connectAgent(await guest.openChannel())
  t.after(() => agent.close())
  await agent.configure(withDevices(guest, scriptConfig(spec, script, config)))
  await agent.start()
  return { spec, guest, agent }
}

const isOver = ({ phase }: EntrypointState) => phase === 'exited' || phase === 'failed'

async function outcome(agent: Agent) {
  const [stdout, state] = await Promise.all([
    readUntilEnd(agent),
    agent.waitForEntrypoint(isOver, { deadlineMs: STATE_MS }),
  ])
  assert.ok(state.phase === 'exited' || state.phase === 'failed')
  return { stdout, state, ending: state.ending }
}

/** The entrypoint's output goes on over runs, so it is read until the state says that a run is over. */
async function readUntilEnd(agent: Agent): Promise<string> {
  const pieces: Buffer[] = []
  const take = (bytes: Buffer) => void pieces.push(bytes)
  agent.stdout.on('data', take)
  agent.stderr.resume()
  await agent.waitForEntrypoint(isOver, { deadlineMs: STATE_MS })
  await pollUntil('the output to be read', () => agent.isOutputRead, {
    deadlineMs: STATE_MS,
  })
  agent.stdout.off('data', take)
  return Buffer.concat(pieces).toString()
}

function testStart(bench: Bench): void {
  test('a machine runs its command as its configuration says', async (t) => {
    const script = 'echo "$GREETING $(id -u):$(id -g) $(pwd) $(hostname) $(cat /proc/1/comm)"'
    const { agent, spec } = await run(t, bench, script, {
      config: {
        env: { PATH: '/bin', GREETING: 'hello' },
        user: { uid: 1000, gid: 1000 },
        cwd: '/home/app',
      },
    })
    const { stdout, ending } = await outcome(agent)
    const init = bench.subject.isVirtual ? 'init' : 'godwit-init'
    assert.equal(stdout, `hello 1000:1000 /home/app ${spec.id} ${init}\n`)
    assert.deepEqual(ending, { kind: 'exited', code: 0 })
  })

  test('two machines of one id cannot be; after the first is removed there is nothing left of it', async (t) => {
    const { spec, guest } = await boot(t, bench)
    await assert.rejects(bench.runtime().boot(spec), { code: 'guest.exists' })
    assert.deepEqual(await bench.runtime().list(), [{ id: spec.id, state: 'running' }])
    await bench.runtime().remove(spec.id)
    assert.equal((await guest.ended).cause, 'killed')
    assert.deepEqual(await bench.runtime().list(), [])
    await bench.runtime().remove(spec.id)
    assert.equal(await bench.runtime().adopt(spec.id), undefined)
  })

  test('a boot that fails says why and leaves nothing', async () => {
    const spec = bench.disks().spec({ rootfs: { serial: 'root', path: '/nonexistent/disk' } })
    await assert.rejects(bench.runtime().boot(spec), { code: 'guest.spec_bad' })
    assert.deepEqual(await bench.runtime().list(), [])
  })

  test('volumes and what was written to the root are there at the next boot', async (t) => {
    const volume = bench.disks().volume()
    const mount = { path: '/data', type: 'ext4', owner: { uid: 1000, gid: 1000 } } as const
    const spec = bench.disks().spec({ disks: [{ serial: 'vol1', path: volume, mount }] })
    t.after(() => bench.runtime().remove(spec.id))
    const once = async (script: string) => {
      using guest = await bench.runtime().boot(spec)
      const agent = await connectAgent(await guest.openChannel())
      const volumes = [{ device: 'vol1', ...mount }]
      await agent.configure(withDevices(guest, scriptConfig(spec, script, { volumes })))
      await agent.start()
      const { stdout } = await outcome(agent)
      await agent.shutdown()
      assert.equal((await guest.ended).cause, 'shutdown')
      await bench.runtime().remove(spec.id)
      return stdout
    }
    await once('echo kept > /data/file; echo too > /root/file')
    assert.equal(await once('cat /data/file /root/file; stat -c %u /data'), 'kept\ntoo\n1000\n')
  })

  test('a disk that may only be read cannot be written', async (t) => {
    const { path } = bench.disks().spec().rootfs
    const { agent } = await run(t, bench, 'echo no > /root/file || echo refused', {
      rootfs: { serial: 'root', path, readOnly: true },
      config: { root: { device: 'root', type: 'ext4', readOnly: true } },
    })
    assert.equal((await outcome(agent)).stdout, 'refused\n')
  })
}

function testEnd(bench: Bench): void {
  test('exit codes and signals of the entrypoint are told', async (t) => {
    const { agent, spec } = await run(t, bench, 'exit 0')
    assert.deepEqual((await outcome(agent)).ending, { kind: 'exited', code: 0 })
    await agent.configure(scriptConfig(spec, 'exit 41'))
    await agent.start()
    await agent.waitForEntrypoint(
      ({ runCount, ...state }) =>
        runCount === 2 && isOver({ runCount, ...state } as EntrypointState),
    )
    assert.deepEqual((await outcome(agent)).ending, { kind: 'exited', code: 41 })
    await agent.configure(scriptConfig(spec, 'kill -9 $$'))
    await agent.start()
    await agent.waitForEntrypoint(
      ({ runCount, ...state }) =>
        runCount === 3 && isOver({ runCount, ...state } as EntrypointState),
    )
    assert.deepEqual((await outcome(agent)).ending, { kind: 'signaled', signal: 9 })
  })

  test('a program that wants more memory than the machine has dies of it, and that is told', async (t) => {
    const hog = 'x=0123456789abcdef; while :; do x=$x$x; done'
    const { agent, guest } = await run(
      t,
      bench,
      `sh -c '${hog}'; echo "hog $?"; exec sh -c '${hog}'`,
    )
    const { state } = await outcome(agent)
    assert.ok(state.phase === 'exited')
    const told = bench.subject.isVirtual
      ? state.isOutOfMemory
      : (await guest.usage()).outOfMemoryKills > 0
    assert.ok(told || (state.ending.kind === 'exited' && state.ending.code !== 0))
    assert.ok(told)
  })

  test('a stop sends the signal, and kills what does not heed it in time', async (t) => {
    const { agent, spec } = await run(
      t,
      bench,
      'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.1; done',
    )
    await once(agent.stdout, 'data')
    const output = outcome(agent)
    await agent.stop({ stopSignal: 15, timeoutMs: 20_000 })
    const { ending, stdout } = await output
    assert.match(stdout, /bye/)
    assert.deepEqual(ending, { kind: 'exited', code: 3 })
    await agent.configure(
      scriptConfig(spec, 'trap "" TERM; echo deaf; while :; do sleep 0.1; done'),
    )
    const isDeaf = once(agent.stdout, 'data') // before the start: the stream flows already
    await agent.start()
    await isDeaf
    await agent.stop({ stopSignal: 15, timeoutMs: 100 })
    const state = await agent.waitForEntrypoint((one) => one.runCount === 2 && isOver(one), {
      deadlineMs: STATE_MS,
    })
    assert.ok(state.phase === 'exited')
    assert.deepEqual(state.ending, { kind: 'signaled', signal: 9 })
  })

  test('a machine ends by shutdown, by kill, and each is told', async (t) => {
    const { agent, guest } = await run(t, bench, 'sleep 1000')
    await agent.shutdown({ stopSignal: 15, timeoutMs: 1_000 })
    assert.deepEqual(await guest.ended, { cause: 'shutdown', isOutOfMemory: false })
    const second = await run(t, bench, 'sleep 1000')
    await second.guest.kill()
    assert.deepEqual(await second.guest.ended, { cause: 'killed', isOutOfMemory: false })
    await assert.rejects(second.agent.stats(), { code: 'guest.channel_lost' })
  })
}

function testInside(bench: Bench): void {
  test('orphans are reaped', async (t) => {
    const script = 'for i in 1 2 3 4 5; do sh -c "sleep 0.05 & sleep 0.05 &"; done; sleep 1000'
    const { agent } = await run(t, bench, script)
    const look = 'ps -o stat,comm | grep -c "^Z" ; ps -o comm | grep -c sleep'
    await pollUntil(
      'the orphans to be gone',
      async () => {
        const seen = await agent.exec({ argv: ['/bin/sh', '-c', look] })
        seen.stderr.resume()
        return (await text(seen.stdout)) === '0\n1\n'
      },
      { deadlineMs: STATE_MS },
    )
  })

  test('commands run beside the entrypoint, with and without a terminal', async (t) => {
    const { agent } = await run(t, bench, 'sleep 1000')
    const plain = await agent.exec({ argv: ['/bin/sh', '-c', 'cat; echo err >&2; exit 7'] })
    plain.stdin.end('through')
    const [out, err, ending] = await Promise.all([
      text(plain.stdout),
      text(plain.stderr),
      plain.ended,
    ])
    assert.deepEqual([out, err, ending], ['through', 'err\n', { kind: 'exited', code: 7 }])
    const tty = { columns: 100, rows: 30 }
    const terminal = await agent.exec({ argv: ['/bin/sh', '-c', 'stty size; tty'], tty })
    terminal.stderr.resume()
    assert.equal(await text(terminal.stdout), '30 100\r\n/dev/pts/0\r\n')
    await assert.rejects(agent.exec({ argv: ['/no/such'] }), { code: 'guest.not_found' })
  })

  test('much output arrives whole, and waits for whoever reads it', async (t) => {
    const bytes = 16 << 20
    const script = `dd if=/dev/zero bs=65536 count=${bytes / 65536} 2>/dev/null; echo done >&2`
    const { agent } = await run(t, bench, script)
    agent.stdout.read(0) // asks for output, takes none
    await pollUntil('output to wait', () => agent.stdout.readableLength > 0, {
      deadlineMs: STATE_MS,
    })
    assert.ok(agent.stdout.readableLength <= 1 << 20, 'a reader that is slow has bounded memory')
    const { stdout } = await outcome(agent)
    assert.equal(stdout.length, bytes)
  })

  test('files go in and come out unchanged', async (t) => {
    const { agent } = await run(t, bench, 'sleep 1000')
    const content = systemRandom.bytes(3_000_001)
    await agent.putFile([Buffer.from(content)], { path: '/root/in/file', mode: 0o640 })
    assert.deepEqual(await buffer(await agent.getFile('/root/in/file')), Buffer.from(content))
  })

  test('what a machine uses is seen from the host, and its bandwidth can be changed', async (t) => {
    const { guest } = await run(t, bench, 'while :; do :; done')
    const first = await guest.usage()
    assert.ok(first.memoryBytes > 0 && first.processes > 0)
    await pollUntil(
      'CPU time',
      async () => (await guest.usage()).cpuNs > first.cpuNs + 50_000_000n,
      {
        deadlineMs: STATE_MS,
      },
    )
    guest.setBandwidth({ quotaUs: 2_000, periodUs: 80_000 })
    const before = (await guest.usage()).throttledNs
    await pollUntil('it to be throttled', async () => (await guest.usage()).throttledNs > before, {
      deadlineMs: STATE_MS,
    })
  })
}

function testManager(bench: Bench): void {
  test('a suspended machine goes on where it was', async (t) => {
    const script = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done'
    const { spec, guest, agent } = await run(t, bench, script)
    // Far enough that what was said, and is perhaps said again, does not look like a new beginning.
    for await (const line of createInterface({ input: agent.stdout })) if (line === '5') break
    agent.stdout.resume()
    await guest.suspend()
    assert.equal((await guest.ended).cause, 'suspended')
    assert.deepEqual(await bench.runtime().list(), [{ id: spec.id, state: 'suspended' }])
    assert.equal(await bench.runtime().adopt(spec.id), undefined)
    using again = await bench.runtime().resume(spec.id)
    const next = await connectAgent(await again.openChannel())
    t.after(() => next.close())
    await next.setClock(Date.now())
    assert.deepEqual(next.entrypoint, { phase: 'running', runCount: 1 })
    const [bytes] = (await once(next.stdout, 'data')) as [Buffer]
    assert.ok(Number(bytes.toString().split('\n')[0]) > 1, 'it counted on')
    await assert.rejects(bench.runtime().resume(spec.id), { code: 'guest.not_suspended' })
  })

  test('a connection through the network of a machine lives through its suspension', async (t) => {
    using network = new TrialNetwork(bench.subject.isVirtual)
    const script =
      'mkfifo /root/in; nc -l -p 7777 </root/in | while read x; do echo "got $x"; done >/root/in'
    const { config } = network
    const { spec, guest, agent } = await run(t, bench, script, { network: network.spec, config })
    await waitForListener(agent)
    const peer = network.connect(7777)
    t.after(() => peer.kill())
    const iterator = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()
    const lines = async () => (await iterator.next()).value
    peer.stdin.write('one\n')
    assert.equal(await lines(), 'got one')
    await guest.suspend()
    peer.stdin.write('while it stood still\n')
    using again = await bench.runtime().resume(spec.id)
    assert.equal(await lines(), 'got while it stood still')
    peer.stdin.write('two\n')
    assert.equal(await lines(), 'got two')
    await again.kill()
  })

  test('a host that goes and comes again at once is answered each time', async (t) => {
    const { guest, agent } = await run(t, bench, 'sleep 1000')
    let last = agent
    for (let i = 0; i < RECONNECTS; i += 1) {
      last.close()
      last = await connectAgent(await guest.openChannel(), { deadlineMs: STATE_MS })
      assert.equal(last.entrypoint.phase, 'running')
    }
    last.close()
  })

  test('a machine outlives its manager, and the next adopts it', async (t) => {
    const spec = bench.disks().spec()
    t.after(() => bench.runtime().remove(spec.id))
    const script = 'trap "echo second; exit 5" USR1; echo first; while :; do sleep 0.05; done'
    await killedManager(bench, spec, script)
    using guest = await bench.runtime().adopt(spec.id)
    assert.ok(guest)
    assert.deepEqual(guest.spec, spec)
    const agent = await connectAgent(await guest.openChannel())
    t.after(() => agent.close())
    assert.equal(agent.entrypoint.phase, 'running')
    const isTrapped = once(agent.stdout, 'data')
    const output = outcome(agent)
    await isTrapped
    await agent.signal(10)
    const { stdout, ending } = await output
    assert.equal(stdout, 'first\nsecond\n')
    assert.deepEqual(ending, { kind: 'exited', code: 5 })
  })

  test('what a manager leaves that is killed while a machine starts can be removed', async () => {
    const spec = bench.disks().spec()
    const manager = startManager(bench, spec, 'sleep 1000')
    await pollUntil('the start to begin', () => new Cgroup(spec.id).processes().length > 0, {
      ...{ deadlineMs: STATE_MS, intervalMs: 1 },
    })
    await manager.kill()
    const [listed] = await bench.runtime().list()
    assert.equal(listed?.id, spec.id)
    await bench.runtime().remove(spec.id)
    assert.deepEqual(tracesOnHost([spec.id], bench.disks().stateDir), [])
    assert.deepEqual(await bench.runtime().list(), [])
  })

  test('machines come and go without a trace', async () => {
    const ids: MachineId[] = []
    const round = async () => {
      const spec = bench.disks().spec({ id: newMachineId(systemRandom) })
      ids.push(spec.id)
      const guest = await bench.runtime().boot(spec)
      const agent = await connectAgent(await guest.openChannel())
      await agent.configure(withDevices(guest, scriptConfig(spec, 'echo hi')))
      await agent.start()
      assert.equal((await outcome(agent)).stdout, 'hi\n')
      agent.close()
      await bench.runtime().remove(spec.id)
      assert.equal((await guest.ended).cause, 'killed')
    }
    await round()
    const { stateDir } = bench.disks()
    const descriptors = countDescriptors()
    const rounds = Number(process.env['GODWIT_LEAK_ROUNDS'] ?? bench.subject.leakRounds)
    for (let i = 0; i < rounds; i += 1) await round()
    await pollUntil('no trace', () => tracesOnHost(ids, stateDir).length === 0, {
      deadlineMs: STATE_MS,
    }).catch(() => assert.deepEqual(tracesOnHost(ids, stateDir), []))
    // Streams close their descriptors a turn or more after the last event about them.
    await pollUntil('no descriptor', () => countDescriptors() <= descriptors, {
      deadlineMs: STATE_MS,
    })
    assert.ok(!existsSync(stateDir) || readdirSync(stateDir).length === 0)
  })
}

/** /proc/net/tcp has a line for each socket; 0A is a listener. */
async function waitForListener(agent: Agent): Promise<void> {
  const look = async () => {
    const seen = await agent.exec({ argv: ['/bin/cat', '/proc/net/tcp', '/proc/net/tcp6'] })
    seen.stderr.resume()
    return / 0A /.test(await text(seen.stdout))
  }
  await pollUntil('the server in the machine', look, { deadlineMs: STATE_MS })
}

const countDescriptors = () => readdirSync('/proc/self/fd').length

/** Boots the machine in a process that dies of SIGKILL once the entrypoint runs. */
async function killedManager(bench: Bench, spec: GuestSpec, script: string): Promise<void> {
  const { child, kill } = startManager(bench, spec, script)
  try {
    const [bytes] = (await once(child.stdout, 'data')) as [Buffer]
    assert.equal(bytes.toString(), 'running\n')
  } finally {
    await kill()
  }
}

/** A process that boots the machine, starts its entrypoint and says so. */
function startManager(bench: Bench, spec: GuestSpec, script: string) {
  const program = join(import.meta.dirname, 'contract-manager.ts')
  const words = [bench.subject.subjectPath, bench.disks().stateDir, JSON.stringify(spec), script]
  const child = spawn(process.execPath, [program, ...words], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await exit
  }
  return { child, kill }
}
