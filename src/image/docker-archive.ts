import { createHash } from 'node:crypto'
import { Type } from 'typebox'
import { type ArchiveFile, type ArchiveFiles, readSmall } from './archive-files.ts'
import type { ImageSource } from './bring-image.ts'
import { type Digest, digestOf } from './digest.ts'
import { ImageError } from './errors.ts'
import type { Waits } from './http-exchange.ts'
import { parseImageConfig } from './image-config.ts'
import { CONFIG_BYTES_MAX, checkSchema, type Descriptor, MANIFEST_BYTES_MAX } from './manifest.ts'
import { checkSize, unnamed } from './oci-layout.ts'
import { formatReference, parseReference } from './reference.ts'

const DocumentSchema = Type.Array(
  Type.Object({
    Config: Type.String({ maxLength: 4096 }),
    RepoTags: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
    Layers: Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 512 }),
  }),
  { maxItems: 1024 },
)

/**
 * An image of `docker save`. Its own manifest is no registry's: one is made that names the same config
 * and layers, always the same for the same image.
 *
 * @param name one of its tags, `app:v1`; undefined when the archive holds one image.
 * @throws ImageError image.not_found, image.manifest_bad
 */
export async function openDockerArchive(
  files: ArchiveFiles,
  waits: Waits,
  name: string | undefined,
  signal?: AbortSignal,
): Promise<ImageSource> {
  const { Config, Layers } = await chooseImage(files, name)
  const config = await find(files, Config)
  const configBytes = await readSmall(config, CONFIG_BYTES_MAX, Config)
  const { diffIds } = parseImageConfig(configBytes)
  if (diffIds.length !== Layers.length) {
    const values = { layers: Layers.length, diffIds: diffIds.length }
    throw new ImageError('image.manifest_bad', { what: 'config and layers differ', values })
  }
  const blobs = new Map<Digest, ArchiveFile>([[digestOf(configBytes), config]])
  const layers: Descriptor[] = []
  for (const [index, layer] of Layers.entries()) {
    const file = await find(files, layer)
    const { mediaType, digest } = await describe(file, diffIds[index], signal)
    blobs.set(digest, file)
    layers.push({ mediaType, digest, size: file.size })
  }
  const bytes = manifestOf(configBytes, layers)
  return {
    waits,
    manifest: async () => ({ bytes, digest: digestOf(bytes), mediaType: undefined }),
    blob: async ({ digest, size }, offset) => {
      const file = blobs.get(digest)
      if (file === undefined) throw new Error('a blob that the manifest does not name')
      checkSize({ digest, size }, file.size)
      return { offset, bytes: file.read(offset) }
    },
  }
}

async function chooseImage(files: ArchiveFiles, name: string | undefined) {
  const bytes = await readSmall(
    await find(files, 'manifest.json'),
    MANIFEST_BYTES_MAX,
    'manifest.json',
  )
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    const values = { why: 'it is not JSON' }
    throw new ImageError('image.manifest_bad', {
      what: 'manifest.json is malformed',
      values,
      cause,
    })
  }
  const images = checkSchema(DocumentSchema, json, 'manifest.json')
  const [only, another] = images
  const offered = images.flatMap(({ RepoTags }) => RepoTags ?? [])
  if (name === undefined) {
    if (only === undefined || another !== undefined) throw unnamed(name, offered)
    return only
  }
  const wanted = inFull(name)
  const found = images.find(({ RepoTags }) => RepoTags?.some((tag) => inFull(tag) === wanted))
  if (found === undefined) throw unnamed(name, offered)
  return found
}

/** Docker writes its tags short (`busybox:1`), podman in full. */
function inFull(tag: string): string {
  try {
    return formatReference(parseReference(tag))
  } catch (error) {
    if (error instanceof ImageError) return tag
    throw error
  }
}

/** Layers are plain tars, named by the config; a few tools compress them, so that they must be hashed. */
async function describe(file: ArchiveFile, diffId: Digest | undefined, signal?: AbortSignal) {
  const kind = 'application/vnd.docker.image.rootfs.diff.tar'
  const head = await firstBytes(file)
  const isGzip = head.startsWith('1f8b')
  if (!isGzip && !head.startsWith('28b52ffd') && diffId !== undefined) {
    return { mediaType: kind, digest: diffId }
  }
  const hash = createHash('sha256')
  for await (const piece of file.read()) {
    signal?.throwIfAborted()
    hash.update(piece)
  }
  const digest = `sha256:${hash.digest('hex')}` as Digest
  return { mediaType: `${kind}.${isGzip ? 'gzip' : 'zstd'}`, digest }
}

async function firstBytes(file: ArchiveFile): Promise<string> {
  for await (const piece of file.read()) return Buffer.from(piece.subarray(0, 4)).toString('hex')
  return ''
}

function manifestOf(configBytes: Buffer, layers: readonly Descriptor[]): Buffer {
  const config = {
    mediaType: 'application/vnd.docker.container.image.v1+json',
    size: configBytes.length,
    digest: digestOf(configBytes),
  }
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json'
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }))
}

async function find(files: ArchiveFiles, name: string): Promise<ArchiveFile> {
  const file = await files.find(name)
  if (file !== undefined) return file
  throw new ImageError('image.not_found', { what: 'the archive lacks a file', values: { name } })
}
