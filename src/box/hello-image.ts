import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { hostPlatform } from '#image'

const run = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '../..')
const SOURCE = join(ROOT, 'images/hello/rootfs')
/** Debian's busybox-static; `npm run setup` installs it. */
const BUSYBOX = '/bin/busybox'
const COMMANDS = [
  'sh',
  'httpd',
  'echo',
  'printf',
  'sleep',
  'ls',
  'cat',
  'ps',
  'env',
  'wget',
  'ip',
  'hostname',
]

/** Where the demo image is: an OCI layout. */
export const HELLO_LAYOUT = join(ROOT, 'build/hello')
/** The folder of the demo app's fly.toml. */
export const HELLO_APP = join(ROOT, 'images/hello')

/**
 * Makes the demo image out of images/hello and Debian's static busybox: the same files give the same digest.
 * Whole or not at all.
 *
 * @returns the digest of its manifest. Source: OCI image-spec 1.1, image-layout.md.
 */
export async function makeHelloImage(layout = HELLO_LAYOUT): Promise<string> {
  const draft = await mkdtemp(join(tmpdir(), 'godwit-hello-'))
  try {
    const layer = await layerOf(join(draft, 'root'), join(draft, 'layer.tar'))
    const built = join(draft, 'layout')
    await mkdir(join(built, 'blobs/sha256'), { recursive: true })
    const write = (type: string, bytes: Buffer) => writeBlob(built, type, bytes)
    const { architecture } = hostPlatform()
    const config = {
      ...{ architecture, os: 'linux' },
      config: { Cmd: ['/start'], Env: ['PATH=/bin'], ExposedPorts: { '8080/tcp': {} } },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    }
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: await write('application/vnd.oci.image.config.v1+json', json(config)),
      layers: [await write('application/vnd.oci.image.layer.v1.tar', layer)],
    }
    const named = await write('application/vnd.oci.image.manifest.v1+json', json(manifest))
    const index = { schemaVersion: 2, manifests: [named] }
    await writeFile(join(built, 'index.json'), json(index))
    await writeFile(join(built, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
    await rm(layout, { recursive: true, force: true })
    await mkdir(resolve(layout, '..'), { recursive: true })
    await cp(built, `${layout}.new`, { recursive: true })
    await rename(`${layout}.new`, layout)
    return named.digest
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

async function layerOf(root: string, tar: string): Promise<Buffer> {
  await cp(SOURCE, root, { recursive: true })
  for (const name of ['bin', 'tmp', 'root', 'proc'])
    await mkdir(join(root, name), { recursive: true })
  await cp(BUSYBOX, join(root, 'bin/busybox'))
  for (const name of COMMANDS) await symlink('busybox', join(root, 'bin', name))
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
  await run('tar', [...same, '-C', root, '-cf', tar, '.'])
  return await readFile(tar)
}

async function writeBlob(layout: string, mediaType: string, bytes: Buffer) {
  const hash = sha256(bytes)
  await writeFile(join(layout, 'blobs/sha256', hash), bytes)
  return { mediaType, digest: `sha256:${hash}`, size: bytes.length }
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const json = (value: unknown) => Buffer.from(JSON.stringify(value))
