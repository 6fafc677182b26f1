import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { followFiles } from './followed-files.ts'
import { handClock } from './hand-clock.fixture.ts'
import { createLog } from './log.ts'

const log = createLog({ part: 'base', level: 'silent', format: 'json' })

test('files that were put in the place of others are read once each time, and until they can be', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-followed-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [cert, key] = [join(folder, 'cert'), join(folder, 'key')]
  const put = (path: string, text: string) => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  for (const path of [cert, key]) put(path, '1')
  const seen: string[] = []
  const { clock, pass, timers } = handClock()
  const following = followFiles({
    ...{ paths: [cert, key], clock, log },
    changed() {
      const texts = [cert, key].map((path) => readFileSync(path, 'utf8'))
      if (texts[0] !== texts[1]) throw new Error('they do not belong together')
      seen.push(texts.join(' '))
    },
  })
  pass()
  assert.deepEqual(seen, [])
  put(cert, '2')
  pass()
  assert.deepEqual(seen, [], 'half of it is not taken')
  put(key, '2')
  pass()
  pass()
  assert.deepEqual(seen, ['2 2'])
  rmSync(key)
  pass()
  put(key, '2')
  pass()
  assert.equal(seen.at(-1), '2 2')
  following[Symbol.dispose]()
  assert.equal(timers.size, 0)
})
