import assert from 'node:assert/strict'
import test from 'node:test'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { fc } from '#property'
import { keepLogStream } from './keep-log-stream.ts'
import { LINE_BYTES_MAX, LineSplitter } from './line-splitter.ts'
import { type LogEntry, subjectOf } from './log-entry.ts'
import { LOG_QUEUE_LIMITS, LogQueue } from './log-queue.ts'
import { LogReader } from './log-reader.ts'
import { LogShipper } from './log-shipper.ts'
import { ensureLogStream } from './log-stream.ts'
import { LOG_BYTES, TestLogs } from './test-logs.fixture.ts'

const log = createLog({ part: 'observe', level: 'error' })
const soon = { deadlineMs: 60_000 }
const source = { app: 'web', region: 'ams', machine: '148ed599c14189', host: 'ams-1' }

function linesOf(pieces: readonly Buffer[]): string[] {
  const lines: string[] = []
  const splitter = new LineSplitter((line) => lines.push(line))
  for (const piece of pieces) splitter.push(piece)
  splitter.flush()
  return lines
}

test('lines come out as they went in, however their bytes are cut', () => {
  const line = fc.string({ unit: 'binary', maxLength: 60 }).filter((text) => !/[\n\r]/.test(text))
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(80)), (lines, cuts) => {
      let rest = Buffer.from(lines.map((one) => `${one}\n`).join(''))
      const pieces: Buffer[] = []
      for (const cut of cuts) {
        pieces.push(rest.subarray(0, cut))
        rest = rest.subarray(cut)
      }
      assert.deepEqual(linesOf([...pieces, rest]), lines)
    }),
  )
})

test('a line that is too long is told in pieces, none of them cut within a character', () => {
  const long = 'ä'.repeat(LINE_BYTES_MAX)
  const pieces = linesOf([Buffer.from(`x${long}\n`)])
  assert.equal(pieces.join(''), `x${long}`)
  assert.ok(pieces.every((piece) => Buffer.byteLength(piece) <= LINE_BYTES_MAX))
  assert.deepEqual(linesOf([Buffer.from('a\r\n\nb')]), ['a', '', 'b'])
})

const entry = (message: string, machine = source.machine): LogEntry => ({
  ...{ event: { provider: 'app' }, host: 'ams-1', log: { level: 'info' }, message },
  ...{ fly: { app: { name: 'web', instance: machine }, region: 'ams' }, timestamp: '' },
})

test('a machine that floods the log loses its own lines and says how many; others lose none', () => {
  const limits = { ...LOG_QUEUE_LIMITS, burst: 10, linesPerSecond: 1 }
  const queue = new LogQueue(limits)
  const push = (machine: string, nowMs: number) => {
    const subject = subjectOf({ ...source, machine })
    queue.push({ subject, entry: entry('x', machine) }, nowMs)
  }
  for (let line = 0; line < 100; line += 1) push('loud', 0)
  for (let line = 0; line < 10; line += 1) push('quiet', 0)
  push('loud', 2_000)
  const taken = queue.take(1_000).map((one) => one.entry)
  const of = (machine: string) =>
    taken.filter(({ fly }) => fly.app.instance === machine).map(({ message }) => message)
  assert.deepEqual(of('quiet'), Array(10).fill('x'))
  assert.match(String(of('loud')), /^(x,){10}90 lines were not kept.*,x$/)
})

test('when nothing can be sent the oldest lines go, and that is counted', () => {
  const queue = new LogQueue({ ...LOG_QUEUE_LIMITS, entriesMax: 5 })
  for (let line = 0; line < 8; line += 1) {
    queue.push({ subject: 's', entry: entry(String(line)) }, 0)
  }
  assert.equal(queue.droppedOldest, 3)
  const [first, ...rest] = queue.take(3)
  assert(first)
  queue.putBack([first, ...rest])
  assert.deepEqual(
    queue.take(9).map((one) => one.entry.message),
    ['3', '4', '5', '6', '7'],
  )
})

test('a name that would reach into other subjects is refused', () => {
  for (const app of ['', 'a.b', '*', '>', 'a b']) {
    assert.throws(() => subjectOf({ ...source, app }), { code: 'observe.entry_bad' })
  }
})

test('what a machine writes is read again: the last lines, then page by page, and what comes later', async (t) => {
  const logs = await TestLogs.start(t)
  const reading = await logs.link('client')
  assert(reading.connection)
  await ensureLogStream(reading.connection, { bytesMax: LOG_BYTES })
  await ensureLogStream(reading.connection, { bytesMax: LOG_BYTES, linesPerMachine: 1_000 })
  await using shipper = new LogShipper({ link: await logs.link('host'), log })
  const reader = new LogReader(reading)
  {
    using writer = shipper.writerFor(source)
    writer.write(Buffer.from(Array.from({ length: 250 }, (_, n) => `line ${n}\n`).join('')))
    writer.write(Buffer.from('no end'))
    writer.say('Machine started in 1.2s')
    using other = shipper.writerFor({ ...source, machine: 'other' })
    other.write(Buffer.from('from another\n'), 'error')
  }
  const readable = async () => {
    const { entries } = await reader.read('web', { limit: 1_000 })
    return entries.length === 253 ? entries : undefined
  }
  const all = await pollUntil('all lines', readable, { ...soon, intervalMs: 100 })
  const messages = all.map(({ entry: one }) => one.message)
  assert.deepEqual(messages.slice(0, 3), ['line 0', 'line 1', 'line 2'])
  assert.ok(messages.includes('no end'))
  assert.ok(messages.includes('Machine started in 1.2s'))
  const foreign = all.find(({ entry: one }) => one.message === 'from another')
  assert.equal(foreign?.entry.log.level, 'error')
  const last = await reader.read('web')
  assert.equal(last.entries.length, 100)
  const first = await reader.read('web', { from: all[0]?.place, limit: 10 })
  assert.deepEqual(
    first.entries.map(({ entry: one }) => one.message),
    messages.slice(0, 10),
  )
  const second = await reader.read('web', { from: first.next, limit: 1 })
  assert.equal(second.entries[0]?.entry.message, 'line 10')
  const other = await reader.read('web', { machine: 'other' })
  assert.deepEqual(
    other.entries.map(({ entry: one }) => one.message),
    ['from another'],
  )
  assert.deepEqual((await reader.read('web', { from: last.next })).entries, [])
  const held = reader.read('web', { from: last.next, holdMs: 30_000 })
  shipper.writerFor(source).say('later')
  assert.equal((await held).entries[0]?.entry.message, 'later')
  assert.deepEqual((await reader.read('tern')).entries, [])
  await assert.rejects(reader.read('web', { from: 'x' }), { code: 'observe.place_bad' })
})

test('lines that are written while NATS is away are there when it is back', async (t) => {
  const logs = await TestLogs.start(t)
  const reading = await logs.link('client')
  assert(reading.connection)
  await ensureLogStream(reading.connection, { bytesMax: LOG_BYTES })
  const link = await logs.link('host')
  await using shipper = new LogShipper({ link, log })
  const writer = shipper.writerFor(source)
  process.kill(logs.server.pid ?? 0, 'SIGKILL')
  await pollUntil('the loss', () => !link.isConnected, soon)
  writer.say('while it was away')
  const reader = new LogReader(reading)
  const readable = async () => {
    try {
      return (await reader.read('web')).entries[0]
    } catch {
      return undefined // not connected again yet
    }
  }
  const found = await pollUntil('the line', readable, { ...soon, intervalMs: 100 })
  assert.equal(found.entry.message, 'while it was away')
  assert.equal(shipper.lost, 0)
})

test('a host can send no lines of machines of other regions, and read none', async (t) => {
  const logs = await TestLogs.start(t)
  const reading = await logs.link('client')
  assert(reading.connection)
  await ensureLogStream(reading.connection, { bytesMax: LOG_BYTES })
  const link = await logs.link('host')
  await using shipper = new LogShipper({ link, log })
  shipper.writerFor({ ...source, region: 'nrt' }).say('forged')
  shipper.writerFor(source).say('true')
  const reader = new LogReader(reading)
  const readable = async () => (await reader.read('web')).entries.length > 0
  await pollUntil('the true line', readable, { ...soon, intervalMs: 100 })
  const { entries } = await reader.read('web')
  assert.deepEqual(
    entries.map(({ entry: one }) => one.message),
    ['true'],
  )
  await assert.rejects(new LogReader(link).read('web'), { code: 'observe.unavailable' })
})

test('whoever keeps the log makes it, also when NATS comes later', async (t) => {
  const logs = await TestLogs.start(t)
  const client = await logs.link('client')
  process.kill(logs.server.pid ?? 0, 'SIGKILL') // it is started anew
  await pollUntil('the loss', () => !client.isConnected, soon)
  const around = { clock: systemClock, random: systemRandom, log }
  using _keeping = keepLogStream(client, { bytesMax: LOG_BYTES }, around)
  await using shipper = new LogShipper({ link: await logs.link('host'), log })
  const writer = shipper.writerFor(source)
  const reader = new LogReader(client)
  const readable = async () => {
    writer.say('again') // what comes before the log is made is not kept
    const page = await reader.read('web').catch(() => undefined)
    return (page?.entries.length ?? 0) > 0
  }
  await pollUntil('a line', readable, { ...soon, intervalMs: 100 })
})
