import { createHash, type Hash } from 'node:crypto'
import { ImageError } from './errors.ts'

declare const brand: unique symbol

/** Names bytes by their hash: `sha256:<64 hex>` or `sha512:<128 hex>`. Source: OCI image-spec, descriptor.md. */
export type Digest = string & { readonly [brand]: 'Digest' }

const FORM = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

export const isDigest = (text: unknown): text is Digest =>
  typeof text === 'string' && FORM.test(text)

/** @throws ImageError image.digest_bad */
export function parseDigest(text: unknown): Digest {
  if (isDigest(text)) return text
  throw new ImageError('image.digest_bad', {
    what: 'not a digest',
    values: { digest: text },
    fix: 'a digest is sha256: and 64 lower-case hex digits, or sha512: and 128',
  })
}

export const digestOf = (bytes: Uint8Array | string): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest

/** The hash that makes digests of the same algorithm as `digest`. */
export const hashFor = (digest: Digest): Hash => createHash(digest.split(':')[0] ?? '')

/** File name of the bytes: `sha256-<hex>`. Holds no separator, so that it cannot leave its folder. */
export const fileNameOf = (digest: Digest): string => digest.replace(':', '-')

/** @throws ImageError image.digest_mismatch */
export function checkDigest(expected: Digest, actual: string, values = {}): void {
  if (expected === actual) return
  throw new ImageError('image.digest_mismatch', {
    what: 'the bytes are not those that the digest names',
    values: { expected, actual, ...values },
    fix: 'try again; when it persists the registry, or something on the way, corrupts data',
  })
}
