import assert from 'node:assert/strict'
import test from 'node:test'
import { ProgressView, sizeText } from './progress.ts'

function screen(isTTY: boolean, columns = 100) {
  let text = ''
  return { isTTY, columns, write: (more: string) => (text += more), shown: () => text }
}

test('on a terminal one line moves, with bytes and rate, and ends as a plain one', () => {
  let nowMs = 0
  const terminal = screen(true)
  const view = new ProgressView(terminal, () => nowMs)
  const tell = view.step('pull')
  tell({ doneBytes: 0, totalBytes: 10_000_000 })
  nowMs = 1_000
  tell({ doneBytes: 5_000_000, totalBytes: 10_000_000 })
  assert.match(
    terminal.shown(),
    /\r\x1b\[Kpull: .*█{12}░{12}.* 50% {2}5\.00 MB of 10\.0 MB \(5\.00 MB\/s\)$/,
  )
  nowMs = 2_000
  tell({ doneBytes: 10_000_000, totalBytes: 10_000_000 })
  nowMs = 9_000
  view.end()
  assert.match(terminal.shown(), /\r\x1b\[Kpull: 10\.0 MB in 2\.0 s \(5\.00 MB\/s\)\n$/)
})

test('elsewhere there are plain lines, now and then and at the end of each step', () => {
  let nowMs = 0
  const file = screen(false)
  const view = new ProgressView(file, () => nowMs)
  const [pull, unpack] = [view.step('pull'), view.step('unpack')]
  for (nowMs = 0; nowMs < 7_000; nowMs += 1_000) pull({ doneBytes: nowMs, totalBytes: 7_000 })
  unpack({ doneBytes: 1, totalBytes: 2 })
  view.end()
  assert.deepEqual(file.shown().split('\n'), [
    'pull: 5.00 kB of 7.00 kB (1.00 kB/s)',
    'pull: 6.00 kB in 7.0 s (857 B/s)',
    'unpack: 1 B in 0.0 s',
    '',
  ])
})

test('a narrow terminal gets no bar, and no colour where none is wanted', () => {
  let nowMs = 0
  const terminal = screen(true, 40)
  const tell = new ProgressView(terminal, () => nowMs).step('pull')
  nowMs = 1_000
  tell({ doneBytes: 1, totalBytes: 2 })
  assert.ok(!terminal.shown().includes('█'))
})

test('sizes are short', () => {
  assert.deepEqual([0, 999, 1_234, 45_678_901].map(sizeText), [
    '0 B',
    '999 B',
    '1.23 kB',
    '45.7 MB',
  ])
})
