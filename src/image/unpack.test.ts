import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { applyLayer, newBudget } from './apply-layer.ts'
import { digestOf } from './digest.ts'
import { unpackLayers } from './unpack.ts'

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-unpack-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A layer made by GNU tar from what `script` makes in an empty folder. */
function layerOf(folder: string, name: string, script: string): Buffer {
  const source = join(folder, name)
  mkdirSync(source)
  execFileSync('sh', ['-ec', script], { cwd: source })
  const options = [
    '--format=pax',
    '--xattrs',
    '--xattrs-include=*',
    '--numeric-owner',
    '--mtime=@1500000000',
  ]
  return execFileSync('tar', [...options, '--sort=name', '-C', source, '-cf', '-', '.'], {
    maxBuffer: 64 << 20,
  })
}

const LOWER = `
  mkdir -p etc usr/lib opaque/deep dev gone.d; ln -s usr/lib lib; ln -s /etc abs
  echo one > etc/one; ln etc/one etc/hard; echo x > gone; echo y > gone.d/y; echo z > opaque/deep/z
  echo old > opaque/old; chmod 4755 etc/one; chown 1000:1001 gone.d; echo own > owned; chown 1000:1001 owned; ln -s owned link; chown -h 7:8 link; mkfifo dev/fifo; mknod dev/null c 1 3
  mknod dev/disk b 259 300; truncate -s 5M sparse; chmod 1777 dev; ln -s nowhere dangling; chown -h 7:8 dangling
  setfattr -n user.godwit -v hello etc/hard || true; touch cap; setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 cap || true`
const UPPER = `
  mkdir -p opaque etc; touch .wh.gone .wh.gone.d opaque/.wh..wh..opq; echo new > opaque/new
  echo two > etc/two; ln etc/two etc/two-hard; rm -rf lib; mkdir -p usr/lib; echo so > usr/lib/x.so; echo file > dangling`

const list = (root: string) =>
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

function writeLayout(folder: string, layers: readonly Buffer[]): void {
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
  const packed = layers.map((tar) => blob(gzipSync(tar), `${kind}.layer.v1.tar+gzip`))
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

async function unpack(
  folder: string,
  layers: readonly Buffer[],
  pack: (tar: Buffer) => Buffer,
  suffix: string,
) {
  const root = join(folder, `root${suffix}`)
  mkdirSync(root)
  const found = layers.map((tar, index) => {
    const path = join(folder, `layer-${index}${suffix}`)
    writeFileSync(path, pack(tar))
    return {
      descriptor: { mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}` },
      path,
      diffId: digestOf(tar),
    }
  })
  await unpackLayers(root, found)
  return root
}

test('layers unpack to what umoci unpacks: whiteouts, opaque, links, owners, modes, devices, xattrs', async (t) => {
  const folder = folderFor(t)
  const layers = [layerOf(folder, 'lower', LOWER), layerOf(folder, 'upper', UPPER)]
  writeLayout(folder, layers)
  execFileSync('umoci', ['unpack', '--image', `${folder}:v1`, join(folder, 'bundle')], {
    stdio: 'pipe',
  })
  const expected = list(join(folder, 'bundle/rootfs'))
  assert.match(expected, /etc\/two-hard f/)
  for (const [pack, suffix] of [
    [gzipSync, '+gzip'],
    [zstdCompressSync, '+zstd'],
    [(tar: Buffer) => tar, ''],
  ] as const) {
    const root = await unpack(folder, layers, pack, suffix)
    assert.deepEqual(list(root).split('\n'), expected.split('\n'))
    rmSync(root, { recursive: true })
  }
})

test('a layer that is not the one the config names is refused', async (t) => {
  const folder = folderFor(t)
  const path = join(folder, 'layer')
  writeFileSync(path, layerOf(folder, 'lower', 'touch a'))
  const layer = {
    descriptor: { mediaType: 'application/vnd.oci.image.layer.v1.tar' },
    path,
    diffId: digestOf('other'),
  }
  mkdirSync(join(folder, 'root'))
  await assert.rejects(unpackLayers(join(folder, 'root'), [layer]), {
    code: 'image.digest_mismatch',
  })
})

interface Made {
  name: string
  type?: string
  link?: string
  size?: number
  body?: string
}

/** Tar bytes by hand, for what no tool would write. */
function tarOf(...entries: Made[]): Buffer {
  const blocks = entries.flatMap(
    ({ name, type = '0', link = '', body = '', size = body.length }) => {
      const block = Buffer.alloc(512)
      const put = (text: string, at: number) => block.write(text, at, 'latin1')
      put(name, 0)
      put('0000755\0', 100)
      put('0000000\0', 108)
      put('0000000\0', 116)
      put(`${size.toString(8).padStart(11, '0')}\0`, 124)
      put('00000000000\0', 136)
      put('        ', 148)
      put(type, 156)
      put(link, 157)
      put('ustar\x0000', 257)
      const sum = block.reduce((total, byte) => total + byte, 0)
      put(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
      return [block, Buffer.from(body.padEnd(Math.ceil(body.length / 512) * 512, '\0'))]
    },
  )
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

async function apply(root: string, tar: Buffer, budget = newBudget()) {
  await applyLayer(
    root,
    (async function* () {
      yield tar
    })(),
    budget,
  )
}

for (const [what, entries] of [
  ['an absolute name', [{ name: '/escape' }]],
  ['a name with ..', [{ name: 'a/../../escape' }]],
  ['a hard link with ..', [{ name: 'a', type: '1', link: '../secret' }]],
  ['an absolute hard link', [{ name: 'a', type: '1', link: '/etc/passwd' }]],
  [
    'a hard link to a directory',
    [
      { name: 'd', type: '5' },
      { name: 'a', type: '1', link: 'd' },
    ],
  ],
  ['a whiteout of ..', [{ name: '.wh...' }]],
  [
    'links in a circle',
    [{ name: 'a', type: '2', link: 'b' }, { name: 'b', type: '2', link: 'a' }, { name: 'a/x' }],
  ],
] as const) {
  test(`${what} is refused as hostile, and nothing outside of the root changes`, async (t) => {
    const folder = folderFor(t)
    const root = join(folder, 'root')
    mkdirSync(root)
    writeFileSync(join(folder, 'secret'), 'kept')
    await assert.rejects(apply(root, tarOf(...entries)), { code: 'image.archive_hostile' })
    assert.equal(execFileSync('ls', { cwd: folder }).toString(), 'root\nsecret\n')
  })
}

test('a file below a symbolic link that leaves the root lands inside of the root', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'root')
  mkdirSync(root)
  const links = [
    { name: 'up', type: '2', link: '../../..' },
    { name: 'abs', type: '2', link: folder },
  ]
  await apply(root, tarOf(...links, { name: 'up/one', body: '1' }, { name: 'abs/two', body: '2' }))
  assert.equal(readFileSync(join(root, 'one'), 'utf8'), '1')
  assert.equal(readFileSync(join(root, folder, 'two'), 'utf8'), '2')
})

test('a bomb is refused before its bytes are written', async (t) => {
  const folder = folderFor(t)
  await assert.rejects(
    apply(folder, tarOf({ name: 'big', size: 8 ** 11 - 1 }), { bytes: 1000, entries: 9 }),
    { code: 'image.too_large' },
  )
  const many = Array.from({ length: 10 }, (_, index) => ({ name: `f${index}` }))
  await assert.rejects(apply(folder, tarOf(...many), { bytes: 1000, entries: 9 }), {
    code: 'image.too_large',
  })
})
