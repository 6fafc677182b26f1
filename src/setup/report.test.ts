import assert from 'node:assert/strict'
import test from 'node:test'
import { createReport } from './report.ts'

function capture(options: { colour: boolean; overwrite: boolean }) {
  let text = ''
  let nowMs = 0
  const report = createReport({
    ...options,
    write(more) {
      text += more
    },
    monotonicMs() {
      nowMs += 1500
      return nowMs
    },
  })
  return { report, text: () => text }
}

test('without a terminal every line stands alone and holds no escape code', async () => {
  const { report, text } = capture({ colour: false, overwrite: false })
  await report.step(
    'working',
    (count) => `${count} made`,
    async () => 2,
  )
  report.note('ready')
  assert.equal(text(), 'set-up: working ...\nset-up: 2 made (1.5 s)\nset-up: ready\n')
})

test('on a terminal the last line of a step takes the place of its first', async () => {
  const { report, text } = capture({ colour: true, overwrite: true })
  await report.step(
    'working',
    () => 'made',
    async () => undefined,
  )
  assert.match(text(), /working \.\.\.\r\x1b\[K/)
})

test('a failed step says so, and the error goes on', async () => {
  const { report, text } = capture({ colour: false, overwrite: false })
  const step = report.step(
    'working',
    () => '',
    () => Promise.reject(new Error('no')),
  )
  await assert.rejects(step, /no/)
  assert.match(text(), /failed: working \(1\.5 s\)\n$/)
})
