import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createLog, errorCode, firstOf, pollUntil, systemClock, systemRandom } from '#base'
import { newKeyLine } from '#seal'
import { askTop } from '../admin/admin-client.ts'
import { BackhaulDialer } from '../backhaul/dialer.ts'
import { Ear, FACTS } from '../backhaul/link-pair.fixture.ts'
import { answering, exchange, startMachine } from '../proxy.fixture.ts'
import { saveTable } from '../routing-table/saved-table.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { freePort } from './two-hosts.fixture.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const program = join(import.meta.dirname, '../../cli/main.ts')

/** The rows that the proxy of `h1` had at its last stop; corrosion is dead. */
async function writeFiles(
  folder: string,
  {
    port,
    backhaulPort,
    machine,
    narrow,
  }: Record<'port' | 'backhaulPort' | 'machine', number> & {
    narrow: { port: number; machine: number }
  },
): Promise<string> {
  const ports = [{ port, handlers: ['http'] }]
  const rows = new TableFixture().app('a').ip('127.0.0.1', 'a')
  rows.machine('m1', 'a', 'h1', { ports, service: { internal_port: machine } })
  rows.machine('m2', 'a', 'h1', {
    ports: [{ port: narrow.port, handlers: ['http'] }],
    service: { internal_port: narrow.machine, soft_limit: 1, hard_limit: 1 },
  })
  for (const id of ['m1', 'm2']) rows.change(id, { private_ipv4: '127.0.0.1' })
  await saveTable(rows.table, join(folder, 'table'))
  writeFileSync(join(folder, 'keys'), newKeyLine('k', systemRandom), { mode: 0o600 })
  const file = join(folder, 'proxy.toml')
  writeFileSync(
    file,
    `region = "ams"
drain_s = 120
admin_socket = "${folder}/admin.sock"
[routing]
host = "h1"
app_domain = "apps.test"
folder = "${folder}"
key_ring = "${folder}/keys"
local_ca = "${folder}/ca"
corrosion = { url = "http://127.0.0.1:9" }
backhaul = { address = "127.0.0.1", port = ${backhaulPort} }
[limits]
headers_read_ms = 120000
`,
  )
  return file
}

test('the proxy of a host serves what it knew; its successor takes over while requests go on, and none is lost', {
  timeout: 180_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-proxy-'))
  const serving: number[] = []
  await using opened = new AsyncDisposableStack()
  try {
    await using machine = await startMachine(answering(OK))
    const [port, backhaulPort] = [await freePort(), await freePort()]
    const atNarrow: Socket[] = []
    await using narrow = await startMachine((socket) =>
      socket.once('data', () => void atNarrow.push(socket)),
    )
    const narrowPort = await freePort()
    const ports = { port, backhaulPort, machine: machine.port }
    const file = await writeFiles(folder, {
      ...ports,
      narrow: { port: narrowPort, machine: narrow.port },
    })
    const args = ['--disable-warning=ExperimentalWarning', program, 'proxy', 'run', '-c', file]
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, GODWIT_LOG: 'info' },
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      for (const [, pid] of chunk.toString().matchAll(/"pid":(\d+)[^\n]*the proxy serves/g))
        serving.push(Number(pid))
    })
    const serves = (count: number) =>
      pollUntil('the proxy', () => serving.length === count && child.exitCode === null, {
        deadlineMs: 60_000,
      })
    await serves(1)
    assert.match(await exchange(port, GET), /^HTTP\/1\.1 200 OK/)
    assert.equal((await askTop(join(folder, 'admin.sock'))).apps[0]?.app, 'a')

    const edge = opened.adopt(new BackhaulDialer(dialerOf(backhaulPort)), (one) => one.close())
    /** A request of another host's client. @returns what came */
    const fromEdge = async (isHeld?: () => boolean): Promise<string> => {
      const ear = new Ear()
      const facts = { ...FACTS, internalPort: machine.port, publicPort: port }
      const stream = edge.open('h1', '127.0.0.1', facts, ear)
      if (stream === undefined) return 'no stream'
      if (isHeld !== undefined) await pollUntil('leave', () => !isHeld(), { deadlineMs: 90_000 })
      stream.send(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
      const isOver = () => ear.text.endsWith('ok') || ear.refusal || ear.resetReason !== undefined
      await pollUntil('an answer', () => Boolean(isOver()), { deadlineMs: 60_000 })
      stream.end(true)
      return ear.refusal ?? (ear.text || `reset ${ear.resetReason}`)
    }
    let isOver = false
    opened.defer(() => {
      isOver = true // also when the test fails: else nothing would ever end them
    })
    const answers: string[] = []
    const load = [
      ...Array.from({ length: 3 }, () => () => exchange(port, GET)),
      ...Array.from({ length: 3 }, () => () => fromEdge()),
    ].map(async (ask) => {
      for (let answer = OK; !isOver && isOk(answer); answers.push(answer)) answer = await ask()
    })
    // What is under way lives on in the process where it began.
    const old = connect(port, '127.0.0.1')
    await once(old, 'connect')
    old.write('GET /old HTTP/1.1\r\nHost: a\r\n')
    const idle = connect(port, '127.0.0.1')
    idle.write('GET /idle HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.doesNotMatch(await heard(idle), /connection: close/i)
    const oldStream = fromEdge(() => serving.length < 2)
    const first = exchange(narrowPort, GET)
    await pollUntil('the first', () => atNarrow.length === 1, { deadlineMs: 60_000 })
    await pollUntil('some answers', () => answers.length > 30, { deadlineMs: 60_000 })
    const ended = once(child, 'exit')
    child.kill('SIGUSR2')
    await pollUntil('the successor', () => serving.length === 2, { deadlineMs: 90_000 })
    child.kill('SIGTERM') // as a supervisor does then
    idle.write('GET /more HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.match(await heard(idle), /^HTTP\/1\.1 200 OK.*connection: close/is)
    idle.destroy()
    // The limit of its machine holds for both processes together.
    const second = exchange(narrowPort, GET)
    const top = () => askTop(join(folder, 'admin.sock'))
    const waits = async () => (await top()).waiting === 1
    await pollUntil('the second waits', waits, { deadlineMs: 60_000 })
    assert.equal(atNarrow.length, 1)
    atNarrow[0]?.end(OK)
    assert.match(await first, /^HTTP\/1\.1 200 OK/)
    await pollUntil('the second', () => atNarrow.length === 2, { deadlineMs: 60_000 })
    atNarrow[1]?.end(OK)
    assert.match(await second, /^HTTP\/1\.1 200 OK/)
    old.write('\r\n')
    assert.match(await heard(old), /^HTTP\/1\.1 200 OK/)
    assert.match(await oldStream, /^HTTP\/1\.1 200 OK/)
    old.destroy()
    assert.deepEqual(await ended, [0, null], 'it ends once it has drained')
    const before = answers.length
    await pollUntil('answers of the successor', () => answers.length > before + 30, {
      deadlineMs: 60_000,
    })
    isOver = true
    await Promise.all(load)
    for (const answer of answers) assert(isOk(answer), answer)
    assert.equal((await askTop(join(folder, 'admin.sock'))).apps[0]?.app, 'a')
  } finally {
    for (const pid of serving) end(pid)
    rmSync(folder, { recursive: true })
  }
})

const isOk = (answer: string) => answer.startsWith('HTTP/1.1 200 OK')

/** What comes next. */
const heard = (socket: Socket): Promise<string> =>
  firstOf(
    once(socket, 'data').then(([chunk]) => String(chunk)),
    once(socket, 'close').then(() => 'it was closed'),
  )

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error // it has ended already
  }
}

const dialerOf = (port: number) => ({
  ...{ ownHostId: 'h2', port, clock: systemClock, random: systemRandom },
  ...{ log: createLog({ part: 'proxy', level: 'fatal' }) },
  ...{ reachable: () => undefined, measured: () => undefined, leaving: () => undefined },
})
