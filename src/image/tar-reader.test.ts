import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { fc } from '#property'
import { ImageError } from './errors.ts'
import { readTar } from './tar-reader.ts'
import { checkMap } from './tar-sparse.ts'

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

/** One file with `count` parts of 4 KiB between holes of 1 MiB, and one of nothing but a hole; then a plain one. */
function sparseArchive(options: readonly string[], count: number) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-tar-'))
  try {
    const script = `truncate -s ${count}M parts; truncate -s 1M hole; echo end > end
      for i in $(seq 1 ${count}); do head -c 4096 /dev/zero | tr '\\0' x | dd of=parts bs=4096 seek=$((i * 256 - 100)) conv=notrunc status=none; done`
    execFileSync('sh', ['-ec', script], { cwd: folder })
    const words = [...options, '--sparse', '-C', folder, '-cf', '-', 'parts', 'hole', 'end']
    const bytes = execFileSync('tar', words, { maxBuffer: 1 << 26 })
    return { bytes, expected: readFileSync(join(folder, 'parts'), 'latin1') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const SPARSE = {
  gnu: ['--format=gnu'],
  'pax 1.0': ['--format=pax', '--sparse-version=1.0'],
}
for (const [format, options] of Object.entries(SPARSE)) {
  test(`sparse files of a ${format} archive come out whole, with few parts or many`, async () => {
    for (const count of [1, 3, 60]) {
      const { bytes, expected } = sparseArchive(options, count)
      assert(bytes.length < (count * 2 ** 20) / 8 + 20_000, 'it is sparse')
      const [parts, hole, end] = await readAll(bytes, 1000)
      assert(parts?.name === 'parts' && parts.text === expected)
      assert(hole?.name === 'hole' && hole.text === '\0'.repeat(2 ** 20))
      assert.equal(end?.text, 'end\n')
    }
  })

  test(`a sparse ${format} entry that is cut or altered gives entries or an ImageError`, async () => {
    const { bytes } = sparseArchive(options, 6)
    await survivesEdits(bytes.subarray(0, 4096))
  })
}

test('a sparse entry of an older pax version is refused, not taken for a plain file', async () => {
  for (const version of ['0.0', '0.1']) {
    const { bytes } = sparseArchive(['--format=pax', `--sparse-version=${version}`], 1)
    await assert.rejects(readAll(bytes), { code: 'image.archive_bad' })
  }
})

test('what claims to be sparse, and is a link or a device, is refused', async () => {
  const { bytes } = sparseArchive(SPARSE['pax 1.0'], 1)
  const header = bytes.subarray(1024, 1536) // after the pax header and its one block of records
  assert.match(header.toString('latin1', 0, 100), /parts/)
  header[156] = 0x31
  header.write('        ', 148)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  await assert.rejects(readAll(bytes), { code: 'image.archive_bad' })
})

test('a sparse map whose parts overlap, or leave the file, is refused', () => {
  const part = (offset: number, size: number) => ({ offset, size })
  const bad = { code: 'image.archive_bad' }
  checkMap({ parts: [part(0, 5), part(5, 5), part(20, 0)], fileSize: 20 }, 10)
  assert.throws(() => checkMap({ parts: [part(4, 5), part(0, 5)], fileSize: 20 }, 10), bad)
  assert.throws(() => checkMap({ parts: [part(0, 5), part(4, 5)], fileSize: 20 }, 10), bad)
  assert.throws(() => checkMap({ parts: [part(16, 5)], fileSize: 20 }, 5), bad)
  assert.throws(() => checkMap({ parts: [part(0, 5)], fileSize: 20 }, 6), bad)
  assert.throws(() => checkMap({ parts: [part(0, -5)], fileSize: 20 }, -5), bad)
})

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
  await survivesEdits(archive('pax').subarray(0, 6144))
})

async function survivesEdits(bytes: Buffer) {
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
}
