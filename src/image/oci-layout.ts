import { type Static, Type } from 'typebox'
import { type ArchiveFiles, readSmall } from './archive-files.ts'
import type { ImageSource } from './bring-image.ts'
import { checkDigest, type Digest, digestOf, hashFor, parseDigest } from './digest.ts'
import { ImageError } from './errors.ts'
import type { Waits } from './http-exchange.ts'
import { checkSchema, type Descriptor, MANIFEST_BYTES_MAX, parseJson } from './manifest.ts'

const REF_NAME = 'org.opencontainers.image.ref.name'
const CONTAINERD_NAME = 'io.containerd.image.name'

const IndexSchema = Type.Object({
  manifests: Type.Array(
    Type.Object({
      digest: Type.String(),
      annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
    { maxItems: 1024 },
  ),
})
type Entry = Static<typeof IndexSchema>['manifests'][number]

/**
 * An image of an OCI layout. Source: OCI image-spec, image-layout.md.
 *
 * @param name its `org.opencontainers.image.ref.name`; undefined when the layout holds one image.
 * @throws ImageError image.not_found, image.manifest_bad
 */
export async function openOciLayout(
  files: ArchiveFiles,
  waits: Waits,
  name: string | undefined,
): Promise<{ source: ImageSource; asked: Digest | undefined }> {
  const index = await read(files, 'index.json')
  const { manifests } = checkSchema(IndexSchema, parseJson(index, 'index.json'), 'index.json')
  const names = new Set(manifests.flatMap(namesOf))
  const named = name === undefined ? manifests : manifests.filter((e) => namesOf(e).includes(name))
  if (named.length === 0 || (name === undefined && names.size > 1)) throw unnamed(name, [...names])
  const [only, another] = named
  // Several entries for one name, or for none, are one image for several platforms.
  const asked = only && !another ? parseDigest(only.digest) : undefined
  const chosen = another === undefined ? index : narrowed(index, named)
  return {
    asked,
    source: {
      waits,
      manifest: async (digest) => {
        if (digest === undefined)
          return { bytes: chosen, digest: digestOf(chosen), mediaType: undefined }
        const bytes = await read(files, blobName(digest))
        checkDigest(
          digest,
          `${digest.split(':')[0]}:${hashFor(digest).update(bytes).digest('hex')}`,
        )
        return { bytes, digest, mediaType: undefined }
      },
      blob: async ({ digest, size }, offset) => {
        const file = await find(files, blobName(digest))
        checkSize({ digest, size }, file.size)
        return { offset, bytes: file.read(offset) }
      },
    },
  }
}

const namesOf = ({ annotations = {} }: Entry): string[] =>
  [annotations[REF_NAME], annotations[CONTAINERD_NAME]].filter((one) => one !== undefined)

/** The index with only the entries of one name, the rest of them as they stand. */
function narrowed(index: Buffer, named: readonly Entry[]): Buffer {
  const json = parseJson(index, 'index.json')
  const digests = new Set(named.map(({ digest }) => digest))
  const manifests = (json['manifests'] as Entry[]).filter(({ digest }) => digests.has(digest))
  return Buffer.from(JSON.stringify({ ...json, manifests }))
}

const blobName = (digest: Digest) => `blobs/${digest.replace(':', '/')}`

async function find(files: ArchiveFiles, name: string) {
  const file = await files.find(name)
  if (file !== undefined) return file
  throw new ImageError('image.not_found', {
    what: 'the archive lacks a file',
    values: { name },
    fix: 'save the image again, with all its layers',
  })
}

const read = async (files: ArchiveFiles, name: string) =>
  readSmall(await find(files, name), MANIFEST_BYTES_MAX, name)

export function checkSize({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, got: number) {
  if (got === size) return
  throw new ImageError('image.size_mismatch', {
    what: 'the blob has another size than its descriptor says',
    values: { digest, size, got },
  })
}

/** The archive holds several images, or not this one. */
export const unnamed = (name: string | undefined, offered: readonly string[]) =>
  new ImageError('image.not_found', {
    what: name === undefined ? 'the archive holds several images' : 'no such image in the archive',
    values: { name, offered: offered.slice(0, 20).join(', ') },
    fix: 'name one of those that it offers',
  })
