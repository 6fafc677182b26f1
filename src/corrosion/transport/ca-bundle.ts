import { createHash, X509Certificate } from 'node:crypto'
import { mayMakeAuthorities } from './cluster-ca.ts'
import { TransportError } from './errors.ts'

/** One that a node trusts. While a cluster's is being changed there are two: the old and the new, of one name. */
export interface BundledAuthority {
  readonly certificatePem: string
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string
  readonly notAfterMs: number
}

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** All certificates of a bundle, in its order. @throws TransportError transport.certificate_bad: one cannot be read, or there is none */
export function authoritiesIn(pem: string): readonly BundledAuthority[] {
  return certificatesIn(pem).map((certificate) => ({
    certificatePem: certificate.toString(),
    fingerprint: fingerprintOf(certificate),
    notAfterMs: certificate.validToDate.getTime(),
  }))
}

/**
 * The fingerprint of the authority of a bundle under which a chain holds at a time: by signatures, by what each may sign,
 * and by dates, as who is shown it checks it. undefined: under none.
 *
 * @param chainPem the leaf's certificate, then those of authorities between it and the bundle's
 * @throws TransportError transport.certificate_bad: one of either cannot be read
 */
export function rootOf(chainPem: string, caBundlePem: string, nowMs: number): string | undefined {
  const root = rootAmong(certificatesIn(chainPem), certificatesIn(caBundlePem), nowMs)
  return root === undefined ? undefined : fingerprintOf(root)
}

/** `rootOf`, of what has been read already. */
export function rootAmong(
  [leaf, ...between]: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
  nowMs: number,
): X509Certificate | undefined {
  if (leaf === undefined) return undefined
  const isInDate = (one: X509Certificate) =>
    one.validFromDate.getTime() <= nowMs && nowMs <= one.validToDate.getTime()
  // Breadth first, each once: whoever wrote the chain cannot make this long.
  const unseen = new Set(between.filter(isInDate))
  let level = isInDate(leaf) ? [leaf] : []
  for (let depth = 0; level.length > 0; depth += 1) {
    const signs = (signer: X509Certificate) =>
      level.some((signed) => isSignedBy(signed, signer, depth))
    const root = authorities.find((one) => isInDate(one) && signs(one))
    if (root !== undefined) return root
    const next = [...unseen].filter(signs)
    for (const one of next) unseen.delete(one)
    level = next
  }
  return undefined
}

/** @param depth how many authorities the signed one has under it in its chain, with itself; 0: it is the leaf */
function isSignedBy(signed: X509Certificate, signer: X509Certificate, depth: number): boolean {
  if (!signer.ca || !signed.checkIssued(signer) || !signed.verify(signer.publicKey)) return false
  return depth === 0 || mayMakeAuthorities(signer.toString(), depth)
}

/** @throws TransportError transport.certificate_bad: one cannot be read, or there is none */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(PEM_BLOCK) ?? []
  const begun = pem.split('-----BEGIN CERTIFICATE-----').length - 1
  try {
    if (blocks.length > 0 && blocks.length === begun)
      return blocks.map((block) => new X509Certificate(block))
  } catch (cause) {
    throw unreadable(begun, cause)
  }
  throw unreadable(begun)
}

const unreadable = (certificates: number, cause?: unknown) =>
  new TransportError('transport.certificate_bad', {
    what: 'a file of certificates holds none, or one that cannot be read',
    values: { certificates },
    fix: 'put whole PEM certificates there, one after the other',
    ...(cause === undefined ? {} : { cause }),
  })

const fingerprintOf = (certificate: X509Certificate) =>
  createHash('sha256').update(certificate.raw).digest('hex')
