import type { Random } from '#base'
import { readRing, type SealRefusals, SealRing } from '#seal'
import { CertificateError } from './errors.ts'

/**
 * The keys that all edges share and nobody else has: private keys of certificates travel through corrosion
 * sealed with them, and session tickets are made from them. A seal's context names table, host name and
 * host of the row.
 */
export class EdgeKeyRing extends SealRing {
  /**
   * @param file see SealRing
   * @throws CertificateError certificates.key_ring_bad
   */
  constructor(text: string, random: Random, file?: string) {
    super(text, random, refusals, file)
  }
}

/**
 * Follows its file: a key that an operator adds needs no restart.
 *
 * @throws CertificateError certificates.key_ring_bad: also when others than its owner may read it
 */
export const readEdgeKeyRing = (path: string, random: Random): EdgeKeyRing =>
  new EdgeKeyRing(readRing(path, refusals), random, path)

const SAME_EVERYWHERE = 'put the same key ring on every edge'

const refusals: SealRefusals = {
  badRing: (what, values, fix) =>
    new CertificateError('certificates.key_ring_bad', {
      what,
      values,
      fix:
        fix ??
        'all edges have the same file, mode 600, a line `name base64-of-32-bytes` for each key',
    }),
  keyMissing: (key, context) =>
    new CertificateError('certificates.sealed_bad', {
      what: 'a private key is sealed with a key that is not in the key ring',
      values: { key, context },
      fix: SAME_EVERYWHERE,
    }),
  tampered: (context, cause) =>
    new CertificateError('certificates.sealed_bad', {
      what: 'a private key cannot be opened',
      values: { context },
      fix: SAME_EVERYWHERE,
      ...(cause === undefined ? {} : { cause }),
    }),
}
