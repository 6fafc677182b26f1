import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { fc } from '#property'
import { type CpioEntry, writeCpio } from './cpio.ts'

const busybox = (args: string[], input: Buffer, cwd?: string) =>
  execFileSync('busybox', args, { input, stdio: ['pipe', 'pipe', 'pipe'], ...(cwd ? { cwd } : {}) })

test('another program lists and unpacks what we write', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cpio-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const archive = writeCpio([
    { kind: 'folder', path: 'bin' },
    { kind: 'file', path: 'bin/tool', bytes: Buffer.from('#!/bin/sh\n'), mode: 0o755 },
    { kind: 'file', path: 'empty', bytes: Buffer.alloc(0) },
    { kind: 'file', path: 'odd', bytes: Buffer.from([1, 2, 3, 4, 5]) },
    { kind: 'link', path: 'sh', target: 'bin/tool' },
  ])
  const listed = busybox(['cpio', '-t'], archive).toString().split('\n').filter(Boolean)
  assert.deepEqual(listed, ['bin', 'bin/tool', 'empty', 'odd', 'sh'])
  busybox(['cpio', '-i', '-d'], archive, folder)
  assert.equal(readFileSync(join(folder, 'bin/tool'), 'utf8'), '#!/bin/sh\n')
  assert.equal(statSync(join(folder, 'bin/tool')).mode & 0o777, 0o755)
  assert.equal(statSync(join(folder, 'odd')).mode & 0o777, 0o644)
  assert.deepEqual([...readFileSync(join(folder, 'odd'))], [1, 2, 3, 4, 5])
  assert.equal(statSync(join(folder, 'empty')).size, 0)
  assert.equal(readlinkSync(join(folder, 'sh')), 'bin/tool')
})

test('a character device carries its type and numbers', () => {
  const archive = writeCpio([{ kind: 'character', path: 'console', major: 5, minor: 1 }])
  const [first] = readEntries(archive)
  assert.deepEqual([first?.mode, first?.major, first?.minor], [0o020600, 5, 1])
})

test('any names and bytes come back from a plain reader, in order', () => {
  const path = fc.stringMatching(/^[a-z][a-z/é]{0,20}$/)
  const entry = fc.record(
    { kind: fc.constant('file' as const), path, bytes: fc.uint8Array({ maxLength: 40 }) },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), (entries) => {
      const read = readEntries(writeCpio(entries))
      const expected = entries.map((one) => ({ path: one.path, bytes: [...one.bytes] }))
      assert.deepEqual(
        read.map((one) => ({ path: one.path, bytes: [...one.bytes] })),
        expected,
      )
    }),
  )
})

test('equal entries give equal bytes', () => {
  const entries: CpioEntry[] = [{ kind: 'file', path: 'a', bytes: Buffer.from('a') }]
  assert.deepEqual(writeCpio(entries), writeCpio(entries))
})

test('an absolute path is our own mistake', () => {
  assert.throws(() => writeCpio([{ kind: 'folder', path: '/bin' }]), /relative path/)
})

/** The plain twin: reads the format as its specification words it. */
function readEntries(archive: Buffer) {
  const entries = []
  const aligned = (offset: number) => Math.ceil(offset / 4) * 4
  for (let offset = 0; ; ) {
    const field = (index: number) =>
      Number.parseInt(
        archive.toString('latin1', offset + 6 + index * 8, offset + 14 + index * 8),
        16,
      )
    assert.equal(archive.toString('latin1', offset, offset + 6), '070701')
    const nameStart = offset + 110
    const path = archive.toString('utf8', nameStart, nameStart + field(11) - 1)
    const dataStart = aligned(nameStart + field(11))
    const dataEnd = dataStart + field(6)
    if (path === 'TRAILER!!!') return entries
    const bytes = archive.subarray(dataStart, dataEnd)
    entries.push({ path, bytes, mode: field(1), major: field(9), minor: field(10) })
    offset = aligned(dataEnd)
  }
}
