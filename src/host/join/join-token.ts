import { createHash, X509Certificate } from 'node:crypto'
import { authoritiesIn } from '#trust'
import { HostError } from '../errors.ts'

/** What an operator hands to a server that is to join. A secret. */
export interface JoinSecret {
  readonly id: string
  readonly secret: string
  /** SHA-256 of the cluster's CA, hex: the server believes no other gateway. */
  readonly ca: string
}

const PREFIX = 'gwj1'

export const formatJoinToken = ({ id, secret, ca }: JoinSecret): string =>
  [PREFIX, id, secret, ca].join('.')

/** @throws HostError host.join_refused */
export function parseJoinToken(text: string): JoinSecret {
  const [prefix, id = '', secret = '', ca = '', ...more] = text.trim().split('.')
  const isWhole =
    prefix === PREFIX &&
    /^[0-9a-f]{16}$/.test(id) &&
    /^[A-Za-z0-9_-]{43}$/.test(secret) &&
    /^[0-9a-f]{64}$/.test(ca)
  if (isWhole && more.length === 0) return { id, secret, ca }
  throw new HostError('host.join_refused', {
    what: 'this is no token for joining, or not the whole of one',
    fix: 'make one at the gateway, and copy it to its last character: godwit host token create',
  })
}

/**
 * What a token names a cluster by: of its authority, or of both while one takes the other's place.
 *
 * @param pem of the cluster's `ca.pem`
 * @throws TrustError trust.certificate_bad
 */
export function caFingerprint(pem: string): string {
  const hash = createHash('sha256')
  for (const { certificatePem } of authoritiesIn(pem)) {
    hash.update(new X509Certificate(certificatePem).raw)
  }
  return hash.digest('hex')
}
