import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { followLog } from './follow-log.ts'
import { LogFile, logPaths, readLog } from './log-file.ts'

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-log-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const texts = (folder: string) => readLog(folder).map(({ text }) => text)

test('lines are kept whole over pieces, per stream, with the last one that has no end', (t) => {
  const folder = folderFor(t)
  const log = new LogFile(folder)
  log.write('stdout', Buffer.from('on'))
  log.write('stderr', Buffer.from('err\n'))
  log.write('stdout', Buffer.from('e\n\ntw'))
  log.write('stdout', Buffer.from('o'))
  log.close()
  assert.deepEqual(
    readLog(folder).map(({ stream, text }) => [stream, text]),
    [
      ['stderr', 'err'],
      ['stdout', 'one'],
      ['stdout', ''],
      ['stdout', 'two'],
    ],
  )
})

test('a letter that two pieces share is whole, and a line without end is cut into parts', (t) => {
  const folder = folderFor(t)
  const log = new LogFile(folder)
  const bytes = Buffer.from('é\n')
  log.write('stdout', bytes.subarray(0, 1))
  log.write('stdout', bytes.subarray(1))
  log.write('stdout', Buffer.from('x'.repeat(40_000)))
  log.close()
  const lines = readLog(folder)
  assert.equal(lines[0]?.text, 'é')
  assert.deepEqual(
    lines.slice(1).map(({ text, isPart }) => [text.length, isPart]),
    [
      [16_384, true],
      [16_384, true],
      [7_232, undefined],
    ],
  )
})

test('a flood of output takes no more than the limit, and the newest lines are there', (t) => {
  const folder = folderFor(t)
  const log = new LogFile(folder, 10_000)
  for (let count = 0; count < 2_000; count += 1) log.write('stdout', Buffer.from(`${count}\n`))
  log.close()
  const bytes = logPaths(folder).reduce((sum, path) => sum + statSync(path).size, 0)
  assert.ok(bytes < 25_000, `${bytes}`)
  assert.equal(texts(folder).at(-1), '1999')
})

test('who follows a log sees each line once, also when it begins anew', async (t) => {
  const folder = folderFor(t)
  const log = new LogFile(folder, 3_000)
  log.write('stdout', Buffer.from('0\n'))
  let count = 1
  let isOver = false
  const seen: number[] = []
  for await (const { text } of followLog(folder, () => isOver, { fromStart: true })) {
    seen.push(Number(text))
    if (seen.length < count || isOver) continue
    for (let index = 0; index < 20; index += 1) log.write('stdout', Buffer.from(`${count++}\n`))
    isOver = count > 200
  }
  log.close()
  assert.deepEqual(
    seen,
    Array.from({ length: count }, (_, index) => index),
  )
})
