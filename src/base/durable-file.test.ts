import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { writeDurably } from './durable-file.ts'

test('a file is the old one or the whole new one, whatever a process that died has left', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-durable-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'record')
  writeFileSync(`${path}.new`, 'half of a draft that was longer')
  await writeDurably(path, 'first')
  await writeDurably(path, Buffer.from('second'))
  assert.equal(readFileSync(path, 'utf8'), 'second')
  assert.deepEqual(readdirSync(folder), ['record'])
  assert.equal(statSync(path).mode & 0o777, 0o600)
  rmSync(path)
  writeFileSync(path, 'kept')
  await assert.rejects(writeDurably(join(folder, 'none', 'record'), 'lost'), { code: 'ENOENT' })
  assert.equal(readFileSync(path, 'utf8'), 'kept')
})
