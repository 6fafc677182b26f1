import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { type Digest, isDigest } from './digest.ts'
import { ImageError } from './errors.ts'
import { choosePlatform, formatPlatform, type Platform } from './platform.ts'

/** Points at bytes. Source: OCI image-spec, descriptor.md. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly platform?: Platform
}

/** One image for one platform: OCI's and Docker's formats agree in all that is read here. */
export interface Manifest {
  readonly kind: 'manifest'
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

/** One image for several platforms (Docker: manifest list). */
export interface ImageIndex {
  readonly kind: 'index'
  readonly manifests: readonly Descriptor[]
}

export const MANIFEST_BYTES_MAX = 4 << 20
export const CONFIG_BYTES_MAX = 4 << 20
const LAYERS_MAX = 512
const INDEX_ENTRIES_MAX = 1024

const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]
const INDEX_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]
/** What a registry is asked for. */
export const ACCEPTED_TYPES: readonly string[] = [...MANIFEST_TYPES, ...INDEX_TYPES]

export type Compression = 'none' | 'gzip' | 'zstd'

// biome-ignore format: a table
const LAYER_TYPES: Readonly<Record<string, Compression>> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.oci.image.layer.nondistributable.v1.tar': 'none',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
}

const DescriptorSchema = Type.Object({
  mediaType: Type.String({ maxLength: 255 }),
  digest: Type.String({ maxLength: 140 }),
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  platform: Type.Optional(
    Type.Object({
      os: Type.String(),
      architecture: Type.String(),
      variant: Type.Optional(Type.String()),
    }),
  ),
})
const ManifestSchema = Type.Object({
  schemaVersion: Type.Literal(2),
  config: DescriptorSchema,
  layers: Type.Array(DescriptorSchema, { maxItems: LAYERS_MAX }),
})
const IndexSchema = Type.Object({
  schemaVersion: Type.Literal(2),
  manifests: Type.Array(DescriptorSchema, { maxItems: INDEX_ENTRIES_MAX }),
})

/**
 * @param mediaType of the answer or descriptor, when it has one; the document's own counts first.
 * @throws ImageError image.manifest_bad, image.media_type_unknown
 */
export function parseManifest(bytes: Uint8Array, mediaType?: string): Manifest | ImageIndex {
  const json = parseJson(bytes, 'manifest')
  const own = typeof json['mediaType'] === 'string' ? json['mediaType'] : undefined
  if ('manifests' in json && ('layers' in json || 'config' in json)) {
    // One document that is both would be read in two ways. Source: CVE-2021-41190.
    throw bad('manifest', 'it is an index and a manifest at once')
  }
  const type = own ?? mediaType?.split(';')[0]?.trim()
  const known = type !== undefined && ACCEPTED_TYPES.includes(type)
  if (own !== undefined && !known) throw unknownType(own)
  const isIndex = known ? INDEX_TYPES.includes(type) : 'manifests' in json
  if (isIndex) {
    const { manifests } = checkSchema(IndexSchema, json, 'index')
    return { kind: 'index', manifests: manifests.map(toDescriptor) }
  }
  const { config, layers } = checkSchema(ManifestSchema, json, 'manifest')
  return { kind: 'manifest', config: toDescriptor(config), layers: layers.map(toDescriptor) }
}

/** @throws ImageError image.platform_missing */
export function manifestFor(index: ImageIndex, platform: Platform): Descriptor {
  const chosen = choosePlatform(index.manifests, platform)
  if (chosen !== undefined) return chosen
  const offered = index.manifests.map((one) => (one.platform ? formatPlatform(one.platform) : '?'))
  throw new ImageError('image.platform_missing', {
    what: 'the image has no variant for this platform',
    values: { platform: formatPlatform(platform), offered: offered.slice(0, 20).join(', ') },
    fix: `build it for ${formatPlatform(platform)}`,
  })
}

/** How a layer is packed, as its type says. @throws ImageError image.media_type_unknown */
export function compressionOf(mediaType: string): Compression {
  const compression = LAYER_TYPES[mediaType]
  if (compression === undefined) throw unknownType(mediaType)
  return compression
}

/** @throws ImageError image.manifest_bad */
export function parseJson(bytes: Uint8Array, document: string): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw bad(document, 'it is not JSON', cause)
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
    return json as Record<string, unknown>
  }
  throw bad(document, 'it is not an object')
}

/** @throws ImageError image.manifest_bad */
export function checkSchema<S extends TSchema>(schema: S, json: unknown, document: string) {
  if (Value.Check(schema, json)) return json as Static<S>
  const [first] = Value.Errors(schema, json)
  throw bad(document, `${first?.instancePath || '/'} ${first?.message}`)
}

function toDescriptor({ mediaType, digest, size, platform }: Static<typeof DescriptorSchema>) {
  if (!isDigest(digest)) throw bad('descriptor', `its digest is ${JSON.stringify(digest)}`)
  const { os = '', architecture = '', variant } = platform ?? {}
  return {
    mediaType,
    digest,
    size,
    ...(platform && { platform: { os, architecture, ...(variant ? { variant } : {}) } }),
  } satisfies Descriptor
}

const bad = (document: string, why: string, cause?: unknown) =>
  new ImageError('image.manifest_bad', {
    what: `the ${document} is malformed`,
    values: { why },
    cause,
  })

const unknownType = (mediaType: string) =>
  new ImageError('image.media_type_unknown', {
    what: 'content of a kind that nobody here can read',
    values: { mediaType },
    fix: 'push the image again with a current tool, as an OCI or Docker schema 2 image',
  })
