import { GodwitError } from '#base'

export type TrustErrorCode = keyof typeof TrustError.catalogue

/** What making certificates, and asking for others, can throw. */
export class TrustError extends GodwitError<TrustErrorCode> {
  static override readonly catalogue = {
    /** Certificates or keys that cannot be read, that have ended or that do not belong together. */
    'trust.certificate_bad': { status: 422 },
    /** Not signed by the host that it names, with both of its keys, or too long ago. */
    'trust.renewal_bad': { status: 401 },
  } as const
}
