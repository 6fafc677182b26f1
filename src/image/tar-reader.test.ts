import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import fc from 'fast-check'
import { ImageError } from './errors.ts'
import { readTar } from './tar-reader.ts'

async function* cutInto(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function readAll(bytes: Uint8Array, pieceBytes = 1000) {
  const found: { name: string; text: string; mtimeSeconds: number }[] = []
  for await (const { name, mtimeSeconds, content } of readTar(cutInto(bytes, pieceBytes))) {
    let text = ''
    for await (const piece of content()) text += Buffer.from(piece).toString('latin1')
    found.push({ name, text, mtimeSeconds })
  }
  return found
}

function archive(format: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-tar-'))
  try {
    const long = 'n'.repeat(180)
    writeFileSync(join(folder, 'short'), 'one')
    writeFileSync(join(folder, long), 'two'.repeat(1000))
    const options = [`--format=${format}`, '--mtime=@1000000000', '-C', folder, '-cf', '-']
    return execFileSync('tar', [...options, 'short', long])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

for (const format of ['gnu', 'pax']) {
  test(`a ${format} archive of GNU tar is read, however its bytes arrive`, async () => {
    const expected = [
      { name: 'short', text: 'one', mtimeSeconds: 1e9 },
      { name: 'n'.repeat(180), text: 'two'.repeat(1000), mtimeSeconds: 1e9 },
    ]
    const bytes = archive(format)
    for (const pieceBytes of [1, 511, 512, 65_536]) {
      assert.deepEqual(await readAll(bytes, pieceBytes), expected)
    }
  })
}

test('an archive that is cut or altered anywhere gives entries or an ImageError', async () => {
  const bytes = archive('pax').subarray(0, 6144)
  const edits = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length), edits, async (length, changes) => {
      const altered = Buffer.from(bytes)
      for (const [at, byte] of changes) altered[at] = byte
      try {
        await readAll(altered.subarray(0, length))
      } catch (error) {
        if (!(error instanceof ImageError)) throw error
      }
    }),
    { numRuns: 200 },
  )
})
