import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { applyLayer, newBudget } from './apply-layer.ts'
import { digestOf } from './digest.ts'
import { folderFor, LOWER, layerOf, list, UPPER, writeLayout } from './image-fixture.ts'
import { unpackLayers } from './unpack.ts'

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
    for (const name of ['sparse', 'zeros']) assert(statSync(join(root, name)).blocks < 600, name)
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

test('bytes under the name of a device, a pipe or a link go into a file of their own', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'root')
  mkdirSync(root)
  writeFileSync(join(folder, 'secret'), 'kept')
  const before = [
    { name: 'disk', type: '4' },
    { name: 'tty', type: '3' },
    { name: 'pipe', type: '6' },
    { name: 'link', type: '2', link: '../secret' },
    { name: 'folder', type: '5' },
    { name: 'folder', type: '2', link: '..' },
  ]
  const names = ['disk', 'tty', 'pipe', 'link', 'folder/secret']
  await apply(root, tarOf(...before, ...names.map((name) => ({ name, body: 'image' }))))
  for (const name of ['disk', 'tty', 'pipe', 'link', 'secret']) {
    assert.ok(lstatSync(join(root, name)).isFile())
    assert.equal(readFileSync(join(root, name), 'utf8'), 'image')
  }
  assert.equal(readFileSync(join(folder, 'secret'), 'utf8'), 'kept')
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
