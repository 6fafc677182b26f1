/** Images with everything that is hard to unpack. For tests and benchmarks. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { digestOf } from './digest.ts'

export function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-unpack-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const BYTES_MAX = 64 << 20

/** A layer made by GNU tar from what `script` makes in an empty folder, less the entries `without`. */
export function layerOf(
  folder: string,
  name: string,
  script: string,
  without: readonly string[] = [],
): Buffer {
  const source = join(folder, name)
  mkdirSync(source)
  execFileSync('sh', ['-ec', script], { cwd: source })
  const options = [
    '--format=pax',
    '--xattrs',
    '--xattrs-include=*',
    '--numeric-owner',
    '--sparse',
    '--mtime=@1500000000',
  ]
  const words = [...options, '--sort=name', '-C', source, '-cf', '-', '.']
  const tar = execFileSync('tar', words, { maxBuffer: BYTES_MAX })
  if (without.length === 0) return tar
  const deletion = ['--delete', '-f', '-', ...without]
  return execFileSync('tar', deletion, { input: tar, maxBuffer: BYTES_MAX })
}

export const LOWER = `
  mkdir -p etc usr/lib opaque/deep dev gone.d; ln -s usr/lib lib; ln -s /etc abs
  echo one > etc/one; ln etc/one etc/hard; echo x > gone; echo y > gone.d/y; echo z > opaque/deep/z
  echo old > opaque/old; chmod 4755 etc/one; chown 1000:1001 gone.d; echo own > owned; chown 1000:1001 owned; ln -s owned link; chown -h 7:8 link; mkfifo dev/fifo; mknod dev/null c 1 3
  mknod dev/disk b 259 300; truncate -s 5M sparse; echo end >> sparse; head -c 3M /dev/zero > zeros; chmod 1777 dev; ln -s nowhere dangling; chown -h 7:8 dangling
  setfattr -n user.godwit -v hello etc/hard || true; touch cap; setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 cap || true`
export const UPPER = `
  mkdir -p opaque etc; touch .wh.gone .wh.gone.d opaque/.wh..wh..opq; echo new > opaque/new
  echo two > etc/two; ln etc/two etc/two-hard; rm -rf lib; mkdir -p usr/lib; echo so > usr/lib/x.so; echo file > dangling`
/** Hard links to files of a lower layer, when `etc/one` and `etc/two` are left out of this one. */
export const ACROSS = `
  mkdir -p etc far/away; echo one > etc/one; chmod 4755 etc/one; ln etc/one far/away/one
  echo two > etc/two; ln etc/two far/two; touch etc/.wh.hard`
/** What an earlier layer removed is back, a directory is a file now, and a file a directory. */
export const RESTORED = `
  mkdir -p gone; echo back > gone/x; echo file > far; mkdir -p opaque; touch opaque/.wh.new
  touch opaque/.wh..wh..opq; mkdir opaque/deep; echo again > opaque/deep/z; chmod 700 opaque`

/** Every file below `root` with all that an image can say of it. */
export const list = (root: string) =>
  execFileSync(
    'sh',
    [
      '-c',
      `find . -printf '%P %y %m %U:%G %s %T@ %l %n\\n' | sort; find . -type f | sort | xargs sha256sum; find . \\( -type c -o -type b \\) -exec stat -c '%n %t:%T' {} +; find . | sort | xargs getfattr -h -d -m - 2>/dev/null`,
    ],
    { cwd: root },
  )
    .toString()
    // A directory's size is its file system's affair.
    .replaceAll(/^(\S* d \S+ \S+) \d+/gm, '$1')

/** An OCI layout of one image, `v1`. */
export function writeLayout(
  folder: string,
  layers: readonly Buffer[],
  compression: 'gzip' | 'zstd' = 'gzip',
): void {
  const pack = compression === 'gzip' ? gzipSync : zstdCompressSync
  const blob = (bytes: Buffer, mediaType: string) => {
    const digest = digestOf(bytes)
    mkdirSync(join(folder, 'blobs/sha256'), { recursive: true })
    writeFileSync(join(folder, 'blobs', digest.replace(':', '/')), bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const kind = 'application/vnd.oci.image'
  const json = (value: object) => Buffer.from(JSON.stringify(value))
  const rootfs = { type: 'layers', diff_ids: layers.map(digestOf) }
  const config = blob(
    json({ architecture: 'amd64', os: 'linux', config: {}, rootfs }),
    `${kind}.config.v1+json`,
  )
  const packed = layers.map((tar) => blob(pack(tar), `${kind}.layer.v1.tar+${compression}`))
  const manifest = json({
    schemaVersion: 2,
    mediaType: `${kind}.manifest.v1+json`,
    config,
    layers: packed,
  })
  const entry = {
    ...blob(manifest, `${kind}.manifest.v1+json`),
    annotations: { 'org.opencontainers.image.ref.name': 'v1' },
  }
  writeFileSync(join(folder, 'index.json'), json({ schemaVersion: 2, manifests: [entry] }))
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
}
