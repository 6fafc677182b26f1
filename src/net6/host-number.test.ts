import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { ensureHostField, moveHostField, readHostField } from './host-number.ts'

test('a host has the number that was chosen first, whoever asks and however many at once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-number-'))
  t.after(() => rmSync(folder, { recursive: true }))
  assert.equal(await readHostField(folder, 'h1'), undefined)
  const first = await ensureHostField(folder, 'h1', async () => [])
  const claimed = [{ hostId: 'h0', host: first }]
  const asked = Array.from({ length: 5 }, () => ensureHostField(folder, 'h1', async () => claimed))
  assert.deepEqual(await Promise.all(asked), Array(5).fill(first), 'nothing is left to choose')
  await moveHostField(folder, 'h1', first + 1)
  assert.equal(await readHostField(folder, 'h1'), first + 1)
  assert.deepEqual(readdirSync(folder), ['host.json'])
  await assert.rejects(readHostField(folder, 'h2'), { code: 'net6.state_bad' })
})
