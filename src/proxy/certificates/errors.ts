import { GodwitError } from '#base'

export type CertificateErrorCode = keyof typeof CertificateError.catalogue

/** What certificates throw. */
export class CertificateError extends GodwitError<CertificateErrorCode> {
  static override readonly catalogue = {
    /** The edges' key ring cannot be read, or others can read it. */
    'certificates.key_ring_bad': { status: 500 },
    /** A sealed private key that no key of the ring opens, or that was changed. */
    'certificates.sealed_bad': { status: 500 },
    /** The local authority's files cannot be read. */
    'certificates.ca_bad': { status: 500 },
    /** The certificate authority refused, or did not validate. */
    'certificates.order_failed': { status: 502, transient: true },
    /** No way to prove the name is open: no challenge that is possible here. */
    'certificates.challenge_unfit': { status: 422 },
  } as const
}
