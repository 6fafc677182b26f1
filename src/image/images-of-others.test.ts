/** Images that other tools make of real systems unpack to what umoci makes of them. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { BlobStore } from './blob-store.ts'
import { folderFor, list } from './image-fixture.ts'
import { importImage } from './import-image.ts'
import { unpackImage } from './unpack.ts'

const run = (command: string, words: readonly string[]) =>
  execFileSync(command, words, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' }).trim()

/** @param layout an OCI layout whose image is `v1`. @returns what is in it, which must be the same for both. */
async function unpackBoth(folder: string, layout: string): Promise<string> {
  const bundle = join(folder, 'bundle')
  run('umoci', ['unpack', '--image', `${layout}:v1`, bundle])
  const store = await BlobStore.open({ folder: join(folder, 'store'), bytesMax: 1 << 30 })
  using image = await importImage(store, layout, { name: 'v1' })
  const root = join(folder, 'unpacked')
  mkdirSync(root)
  await unpackImage(image, store, root)
  const [ours, theirs] = [list(root), list(join(bundle, 'rootfs'))]
  assert.deepEqual(ours.split('\n'), theirs.split('\n'))
  return ours
}

function layoutOf(folder: string, tar: string): string {
  const layout = join(folder, 'layout')
  run('umoci', ['init', '--layout', layout])
  run('umoci', ['new', '--image', `${layout}:v1`])
  run('umoci', ['raw', 'add-layer', '--image', `${layout}:v1`, tar])
  return layout
}

/** Of each kind of file: links of libraries, hard links of perl, set-uid programs, users. */
const PACKAGES = 'base-files,passwd,perl-base'

test('a bootstrapped Debian unpacks to what umoci unpacks', async (t) => {
  const folder = folderFor(t)
  const tar = join(folder, 'debian.tar')
  run('mmdebstrap', ['--quiet', '--variant=extract', `--include=${PACKAGES}`, 'bookworm', tar])
  const files = await unpackBoth(folder, layoutOf(folder, tar))
  assert.match(files, /^usr\/bin\/passwd f 4755 0:0 /m)
  assert.ok(files.split('\n').length > 2_000)
})

test('busybox with its hundreds of links unpacks to what umoci unpacks', async (t) => {
  const folder = folderFor(t)
  const root = join(folder, 'root')
  mkdirSync(join(root, 'bin'), { recursive: true })
  const busybox = ['/usr/bin/busybox', '/bin/busybox'].find((path) => existsSync(path)) ?? ''
  copyFileSync(busybox, join(root, 'bin/busybox'))
  for (const name of run(busybox, ['--list']).split('\n')) {
    if (name !== 'busybox') symlinkSync('/bin/busybox', join(root, 'bin', name))
  }
  const tar = join(folder, 'root.tar')
  run('tar', ['-C', root, '-cf', tar, '.'])
  await unpackBoth(folder, layoutOf(folder, tar))
})

/** As a Dockerfile of three steps would: files; some gone and a folder made anew; links to what was there. */
const STEPS = [
  'mkdir -p etc opaque/deep gone; echo one > etc/one; echo a > opaque/a; echo b > opaque/deep/b; echo c > gone/c; chown -R 7:8 opaque; chmod 4711 etc/one',
  'rm -rf gone opaque etc/one; mkdir opaque; echo new > opaque/new; echo again > etc/one; echo two > etc/two',
  'ln etc/two etc/linked; ln etc/one opaque/far; touch -h -d @1500000000 etc/two; rm opaque/new',
]

test('layers of buildah, with whiteouts, folders made anew and links across layers, unpack to what umoci unpacks', async (t) => {
  const folder = folderFor(t)
  const storage = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run')]
  const buildah = (...words: string[]) =>
    run('buildah', [...storage, '--storage-driver', 'overlay', ...words])
  let image = 'scratch'
  for (const [index, step] of STEPS.entries()) {
    const container = buildah('from', image)
    const root = buildah('mount', container)
    execFileSync('sh', ['-ec', step], { cwd: root })
    buildah('umount', container)
    image = `localhost/step:${index}`
    buildah('commit', '--quiet', container, image)
    buildah('rm', container)
  }
  const layout = join(folder, 'layout')
  buildah('push', '--quiet', image, `oci:${layout}:v1`)
  buildah('rmi', '--all', '--force')
  const files = await unpackBoth(folder, layout)
  assert.match(files, /^etc\/linked f .* 2$/m)
  assert.match(files, /^opaque\/far f /m)
  assert.doesNotMatch(files, /^(?:gone|opaque\/(?:a|deep|new))/m)
})
