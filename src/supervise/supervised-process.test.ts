import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { createLog, pollUntil } from '#base'
import { LINE_CHARS_MAX, LineReader } from './line-reader.ts'
import { endOrphan, readPidFile, writePidFile } from './pid-file.ts'
import { identify, isAlive, signalProcess } from './process-identity.ts'
import { SupervisedProcess, type SuperviseOptions, stopAll } from './supervised-process.ts'

const quick = { backoff: { baseMs: 5, capMs: 20 }, probePeriodMs: 10, stopGraceMs: 200 }
const soon = { deadlineMs: 10_000 }

function supervise(t: TestContext, script: string, options: Partial<SuperviseOptions> = {}) {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  const log = createLog({ part: 'test', format: 'json', level: 'info', destination })
  const process = new SupervisedProcess({
    name: 'child',
    command: 'sh',
    args: ['-c', script],
    log,
    ...options,
    policy: { ...quick, ...options.policy },
  })
  t.after(() => process.stop())
  return { process, lines }
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-supervise-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a process that ends is started anew, and what it prints is logged', async (t) => {
  const { process, lines } = supervise(t, 'echo hello; exit 3')
  await process.start()
  await pollUntil('two restarts', () => process.restarts >= 2, soon)
  await process.stop()
  assert.equal(process.state, 'ended')
  assert(lines.some((line) => JSON.parse(line).msg === 'hello'))
})

test('it is ready when its probe says so', async (t) => {
  const file = join(temporaryFolder(t), 'up')
  const probe = async () => assert(existsSync(file))
  const { process } = supervise(t, `touch ${file}; exec sleep 1000`, { probe })
  await process.start()
  await process.ready()
  assert.equal(process.state, 'ready')
})

test('one that falls ill is replaced', async (t) => {
  let isHealthy = true
  const probe = async () => assert(isHealthy)
  const { process } = supervise(t, 'exec sleep 1000', { probe })
  await process.start()
  await process.ready()
  const first = process.pid
  isHealthy = false
  await pollUntil('a restart', () => process.pid !== undefined && process.pid !== first, soon)
  isHealthy = true
  await process.ready()
  assert.notEqual(process.pid, first)
})

test('one that is deaf to SIGTERM is killed, with all that it started', async (t) => {
  const file = join(temporaryFolder(t), 'pid')
  const { process } = supervise(t, `trap "" TERM; sleep 1000 & echo $! > ${file}; wait; sleep 1000`)
  await process.start()
  const read = () => existsSync(file) && Number(readFileSync(file, 'utf8')) > 0
  await pollUntil('the grandchild', read, soon)
  const grandchild = identify(Number(readFileSync(file, 'utf8')))
  assert(grandchild !== undefined)
  await process.stop()
  await pollUntil('its end', () => !isAlive(grandchild), soon)
})

test('one that keeps failing is given up, and whoever waits for it hears so', async (t) => {
  const { process } = supervise(t, 'exit 1', {
    policy: { failuresMax: 3 },
    probe: () => Promise.reject(new Error('never')),
  })
  await process.start()
  await assert.rejects(process.ready(), { code: 'supervise.gave_up' })
  assert.equal(process.state, 'failed')
})

test('a command that does not exist is a failure, not a crash', async (t) => {
  const { process } = supervise(t, '', {
    command: '/nonexistent/program',
    policy: { failuresMax: 2 },
    probe: () => Promise.reject(new Error('never')),
  })
  await process.start()
  await assert.rejects(process.ready(), { code: 'supervise.gave_up' })
})

test('all are stopped, the last one first', async (t) => {
  const folder = temporaryFolder(t)
  const make = (name: string) =>
    supervise(
      t,
      `trap 'echo ${name} >> ${folder}/order; exit 0' TERM; touch ${folder}/${name}; while :; do sleep 0.01; done`,
    ).process
  const processes = [make('a'), make('b')]
  for (const process of processes) await process.start()
  const areTrapped = () => existsSync(`${folder}/a`) && existsSync(`${folder}/b`)
  await pollUntil('both traps', areTrapped, soon)
  await stopAll(processes, 10_000)
  assert.deepEqual(
    processes.map(({ state }) => state),
    ['ended', 'ended'],
  )
  assert.equal(readFileSync(`${folder}/order`, 'utf8'), 'b\na\n')
})

test('what a killed supervisor left is ended before the next start', async (t) => {
  const pidFile = join(temporaryFolder(t), 'child.pid')
  const orphan = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
  const identity = identify(orphan.pid ?? 0)
  assert(identity !== undefined)
  writePidFile(pidFile, identity)
  const { process } = supervise(t, 'exec sleep 1000', { pidFile })
  await process.start()
  assert.equal(isAlive(identity), false)
  assert.equal(readPidFile(pidFile)?.pid, process.pid)
  await process.stop()
  assert.equal(existsSync(pidFile), false)
})

test('a process that merely got the same pid is left alone', async (t) => {
  const pidFile = join(temporaryFolder(t), 'child.pid')
  const other = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
  t.after(() => other.kill('SIGKILL'))
  const identity = identify(other.pid ?? 0)
  assert(identity !== undefined)
  writePidFile(pidFile, { ...identity, startTicks: identity.startTicks - 1 })
  assert.equal(await endOrphan(pidFile), false)
  assert.equal(signalProcess({ ...identity, startTicks: 1 }, 'SIGKILL'), false)
  assert(isAlive(identity))
  for (const text of ['', '{', '{"pid":1,"startTicks":1}', '{"pid":"x"}']) {
    writeFileSync(pidFile, text)
    assert.equal(readPidFile(pidFile), undefined, text)
  }
})

test('lines come whole whatever the chunks, and an endless one comes in pieces', () => {
  const lines: string[] = []
  const reader = new LineReader((line) => lines.push(line))
  for (const byte of Buffer.from('één\n\ntwee')) reader.push(Buffer.from([byte]))
  reader.end()
  assert.deepEqual(lines, ['één', '', 'twee'])
  lines.length = 0
  reader.push(Buffer.alloc(LINE_CHARS_MAX * 2 + 5, 'x'))
  assert.deepEqual(
    lines.map(({ length }) => length),
    [LINE_CHARS_MAX, LINE_CHARS_MAX],
  )
})
