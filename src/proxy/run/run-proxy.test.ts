import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { pollUntil } from '#base'
import { answering, exchange, startMachine } from '../proxy.fixture.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'
const program = join(import.meta.dirname, '../../cli/main.ts')

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return address.port
}

interface Running extends AsyncDisposable {
  readonly child: ChildProcess
  readonly port: number
  /** Process ids that said that they serve, in order. */
  readonly serving: number[]
}

/** `godwit proxy run` as a user starts it. */
async function startProgram(machine: number, more: string): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-proxy-'))
  const port = await freePort()
  const file = join(folder, 'proxy.toml')
  writeFileSync(
    file,
    `${more}
[[services]]
app = "web"
ports = [{ port = ${port}, handlers = ["http"] }]
machines = [{ address = "127.0.0.1", port = ${machine} }]
`,
  )
  const args = ['--disable-warning=ExperimentalWarning', program, 'proxy', 'run', '-c', file]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, GODWIT_LOG: 'info' },
  })
  const serving: number[] = []
  child.stderr?.on('data', (chunk: Buffer) => {
    for (const [, pid] of chunk.toString().matchAll(/"pid":(\d+)[^\n]*the proxy serves/g))
      serving.push(Number(pid))
  })
  child.stdout?.resume()
  await pollUntil('the proxy', () => serving.length > 0 && child.exitCode === null, {
    deadlineMs: 60_000,
  })
  return {
    child,
    port,
    serving,
    async [Symbol.asyncDispose]() {
      for (const pid of serving) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it has ended already
        }
      }
      rmSync(folder, { recursive: true })
    },
  }
}

test('an upgrade loses no request: the new process takes over the sockets, the old one drains', {
  timeout: 120_000,
}, async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = await startProgram(
    machine.port,
    'drain_s = 120\n[limits]\nheaders_read_ms = 120000',
  )
  let isOver = false
  // Also when the test fails: else nothing would ever end them.
  using _load = {
    [Symbol.dispose]() {
      isOver = true
    },
  }
  const answers: string[] = []
  const load = Array.from({ length: 4 }, async () => {
    while (!isOver) answers.push(await exchange(proxy.port, GET))
  })
  // An old connection lives on in the old process until it has its answer.
  const old = connect(proxy.port, '127.0.0.1')
  await once(old, 'connect')
  old.write('GET /old HTTP/1.1\r\nHost: h\r\n')
  await pollUntil('some answers', () => answers.length > 20, { deadlineMs: 30_000 })
  proxy.child.kill('SIGUSR2')
  await pollUntil('the new process', () => proxy.serving.length > 1, { deadlineMs: 60_000 })
  const before = answers.length
  old.write('\r\n')
  assert.match(String((await once(old, 'data'))[0]), /^HTTP\/1\.1 200 OK/)
  if (proxy.child.exitCode === null) await once(proxy.child, 'exit')
  assert.equal(proxy.child.exitCode, 0)
  await pollUntil('answers of the new process', () => answers.length > before + 50, {
    deadlineMs: 30_000,
  })
  isOver = true
  await Promise.all(load)
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 OK/)
})

test('several processes share the port; one that is killed is replaced, SIGTERM ends all', {
  timeout: 120_000,
}, async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = await startProgram(machine.port, 'workers = 2\ndrain_s = 1')
  await pollUntil('two workers and their parent', () => proxy.serving.length === 3, {
    deadlineMs: 60_000,
  })
  const answers = await Promise.all(Array.from({ length: 50 }, () => exchange(proxy.port, GET)))
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 OK/)
  const [worker] = proxy.serving.filter((pid) => pid !== proxy.child.pid)
  process.kill(worker ?? 0, 'SIGKILL')
  await pollUntil('another worker', () => proxy.serving.length === 4, { deadlineMs: 60_000 })
  assert.match(await exchange(proxy.port, GET), /^HTTP\/1\.1 200 OK/)
  proxy.child.kill('SIGTERM')
  await once(proxy.child, 'exit')
  assert.equal(proxy.child.exitCode, 0)
})
