/**
 * What no machine may do to its host or to others, on whatever runtime; beside contract.ts. A hostile
 * program (hostile/hostile.c) tries it from inside, as root of its machine.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { machine as architecture } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { pollUntil, systemRandom } from '#base'
import { type Agent, connectAgent } from './agent/agent.ts'
import { exitCodeOf } from './agent/answers.ts'
import type { RuntimeSubject } from './contract/runtime-subject.ts'
import { scriptConfig } from './contract/script-config.ts'
import { TrialDisks } from './contract/trial-disks.ts'
import { withDevices } from './guest-devices.ts'
import type { GuestSpec } from './guest-spec.ts'
import type { Guest, Runtime } from './runtime.ts'

const STATE_MS = 120_000
const WORK_NS = 50_000_000n
/** What a virtual machine's own process may have beside its RAM. */
const VMM_MIB = 512
/** An unread stream holds its window and a Readable's buffer. */
const OUTPUT_BYTES_MAX = 1 << 20

/**
 * What a machine must not do even with a kernel of its own. The rest of the attempts are on the kernel that runs
 * the program: a virtual machine's root may do to its own what it likes.
 */
const HOST_ATTEMPTS = /^(?:host-|stray-files)/

export function testIsolation(subject: RuntimeSubject): void {
  describe(`isolation by the runtime ${subject.name}`, () => {
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
    const boot = (t: TestContext, script: string, changes: Partial<GuestSpec> = {}) =>
      start(t, runtime, disks.spec(changes), script)

    test('a hostile root reaches no file, process, device or network of the host', async (t) => {
      await using host = await HostSecrets.open(disks.folder)
      const { agent } = await boot(t, 'sleep 1000')
      await agent.putFile([buildHostile(disks.folder)], { path: '/root/hostile', mode: 0o755 })
      const told = await run(agent, ['/root/hostile', ...host.words])
      const lines = told.trim().split('\n')
      assert.ok(lines.length > 60, told)
      const mustFail = (line: string) => !subject.isVirtual || HOST_ATTEMPTS.test(line)
      assert.deepEqual(
        lines.filter((line) => !line.endsWith(' refused') && mustFail(line)),
        [],
      )
      assert.equal(host.connections, 0)
    })

    test('nothing that a machine runs gains rights that its root has not', async (t) => {
      const { agent } = await boot(t, 'sleep 1000')
      const status = await run(agent, ['cat', '/proc/self/status'])
      // The kernel is the machine's own and its root may have all of it: only that it is told.
      if (subject.isVirtual) return assert.match(status, /CapEff/)
      assert.match(status, /NoNewPrivs:\t1/)
      assert.match(status, /Seccomp:\t2/)
      assert.equal(/CapBnd:\t(\w+)/.exec(status)?.[1], /CapEff:\t(\w+)/.exec(status)?.[1])
    })

    for (const { name, argv, changes } of bombs) {
      test(`${name} hurts only its own machine`, async (t) => {
        const other = await boot(t, 'sleep 1000')
        const { spec, guest, agent } = await boot(t, 'sleep 1000', changes)
        await agent.putFile([buildHostile(disks.folder)], { path: '/root/hostile', mode: 0o755 })
        const diskBytes = statSync(spec.rootfs.path).size
        const bomb = await agent.exec({ argv }) // whose output nobody reads
        bomb.ended.catch(() => undefined) // it ends with its machine
        bomb.stdout.read(0) // asks for output, takes none
        await untilItHurts(guest, () => bomb.stdout.readableLength > 0)
        for (const word of ['one', 'two', 'three', 'four']) {
          assert.equal(await run(other.agent, ['echo', word]), `${word}\n`)
        }
        const usage = await guest.usage()
        assert.ok(usage.memoryBytes <= (spec.memoryMib + VMM_MIB) * 2 ** 20)
        assert.ok(usage.processes <= (spec.pidsMax ?? 4096))
        assert.equal(statSync(spec.rootfs.path).size, diskBytes)
        assert.ok(bomb.stdout.readableLength <= OUTPUT_BYTES_MAX)
        await guest.kill()
        await runtime.remove(spec.id)
        assert.equal(await run(other.agent, ['echo', 'after']), 'after\n')
      })
    }
  })
}

interface Bomb {
  readonly name: string
  readonly argv: [string, ...string[]]
  readonly changes?: Partial<GuestSpec>
}

const shell = (script: string): [string, ...string[]] => ['/bin/sh', '-c', script]

const bombs: readonly Bomb[] = [
  { name: 'a fork bomb', argv: ['/root/hostile', 'bomb'], changes: { pidsMax: 128 } },
  {
    name: 'a hog of memory',
    argv: shell(
      'hog() { x=0123456789abcdef; while :; do x=$x$x; done; }; while :; do (hog) & wait; done',
    ),
    changes: { memoryMib: 128 }, // Debian's kernel does not come up in 64
  },
  {
    name: 'a filler of disks',
    argv: shell(
      'while :; do dd if=/dev/zero of=/full bs=65536; dd if=/dev/zero of=/dev/shm/full; done',
    ),
    changes: { memoryMib: 128 },
  },
  { name: 'a flood of output', argv: shell('while :; do yes; done') },
]

/** Resolves when it has worked for a while, or has been ended for it. */
async function untilItHurts(guest: Guest, isFull: () => boolean): Promise<void> {
  const isAtWork = async () => {
    const { cpuNs, outOfMemoryKills } = await guest.usage()
    return cpuNs > WORK_NS || outOfMemoryKills > 0 || isFull()
  }
  await pollUntil('it to be at work', isAtWork, { deadlineMs: STATE_MS })
}

async function start(t: TestContext, runtime: Runtime, spec: GuestSpec, script: string) {
  const guest = await runtime.boot(spec)
  t.after(async () => {
    guest[Symbol.dispose]()
    await runtime.remove(spec.id)
  })
  const agent = await connectAgent(await guest.openChannel())
  t.after(() => agent.close())
  await agent.configure(withDevices(guest, scriptConfig(spec, script)))
  await agent.start()
  return { spec, guest, agent }
}

async function run(agent: Agent, argv: [string, ...string[]]): Promise<string> {
  const child = await agent.exec({ argv }, { deadlineMs: STATE_MS })
  child.stdin.end()
  const [out, err, ending] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    child.ended,
  ])
  assert.equal(exitCodeOf(ending), 0, err)
  return out
}

/** As init is built. */
function buildHostile(folder: string): Buffer {
  const source = join(import.meta.dirname, 'hostile/hostile.c')
  const program = join(folder, 'hostile')
  const headers = ['/usr/include', `/usr/include/${architecture()}-linux-gnu`]
  execFileSync('musl-gcc', [
    ...['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-static', '-Wall', '-Wextra', '-Werror'],
    ...headers.flatMap((path) => ['-idirafter', path]),
    ...[source, '-o', program],
  ])
  return readFileSync(program)
}

/** Things of the host that a machine must not find: a file, a process, two sockets. */
class HostSecrets implements AsyncDisposable {
  readonly #file: string
  readonly #child = spawn('sleep', ['1000'], { stdio: 'ignore' })
  readonly #name = `godwit-hostile-${Buffer.from(systemRandom.bytes(6)).toString('hex')}`
  readonly #abstract = createServer((socket) => this.#took(socket))
  readonly #tcp = createServer((socket) => this.#took(socket))
  connections = 0

  private constructor(folder: string) {
    this.#file = join(folder, 'host-secret')
  }

  static async open(folder: string): Promise<HostSecrets> {
    const host = new HostSecrets(folder)
    writeFileSync(host.#file, 'secret')
    host.#abstract.listen(`\0${host.#name}`)
    host.#tcp.listen(0, '127.0.0.1')
    await Promise.all([once(host.#abstract, 'listening'), once(host.#tcp, 'listening')])
    return host
  }

  get words(): [string, string, string, string] {
    const { port } = this.#tcp.address() as { port: number }
    return [this.#file, String(this.#child.pid), this.#name, String(port)]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abstract.close()
    this.#tcp.close()
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  #took(socket: { destroy(): void }): void {
    this.connections += 1
    socket.destroy()
  }
}
