import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { pollUntil } from '#base'
import { ClusterKey } from './cluster-key.ts'

const [old, next] = ['5a'.repeat(32), 'a5'.repeat(32)]
const request = { atMs: 1_000, path: '/v1/machine', requestId: 'r', body: '[]' }

const signedBy = (key: string) => new ClusterKey(Buffer.from(key, 'hex')).sign(request)

const takes = (key: ClusterKey, signature: string) => {
  try {
    key.check(request, signature, request.atMs)
    return true
  } catch {
    return false // the test asks whether, not why
  }
}

test('a cluster changes its key without a moment in which two hosts do not understand each other', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-key-'))
  try {
    const files = ['one', 'two'].map((name) => join(folder, name))
    for (const file of files) writeFileSync(file, old)
    const keys = files.map((file) => ClusterKey.read(file))
    const all = () => keys.every((one) => keys.every((two) => takes(two, one.sign(request))))
    assert.ok(all())
    // Each step on one host after the other, as the manual says: taken, then used, then the old one goes.
    for (const step of [`${next}\n${old}\n`, `${old}\n${next}\n`, `${next}\n`]) {
      const lines = step.trim().split('\n')
      const isRead = (key: ClusterKey | undefined) =>
        key?.sign(request) === signedBy(lines.at(-1) ?? '') &&
        [old, next].every((one) => takes(key, signedBy(one)) === lines.includes(one))
      for (const [index, file] of files.entries()) {
        writeFileSync(file, step)
        await pollUntil('it to be read', () => isRead(keys[index]), { deadlineMs: 20_000 })
        assert.ok(all(), `after ${JSON.stringify(step)} on host ${index}`)
      }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a file of the key that was broken counts as what it was before', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-key-'))
  try {
    const file = join(folder, 'key')
    writeFileSync(file, `${old}\n`)
    const key = ClusterKey.read(file)
    const signed = key.sign(request)
    const told: unknown[] = []
    const log = { error: (one: unknown) => told.push(one), info: () => undefined }
    const watched = ClusterKey.read(file, log as never)
    writeFileSync(file, 'no key')
    await pollUntil('it to be told', () => watched.sign(request) === signed && told.length > 0, {
      deadlineMs: 20_000,
    })
    assert.throws(() => ClusterKey.read(file), { code: 'host.key_bad' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
