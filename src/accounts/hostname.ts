export interface HostnameRecord {
  /** In lower case; `*.` before it for all names directly below. */
  readonly hostname: string
  readonly createdAtMs: number
  /** The platform is to get and renew a certificate for it. */
  readonly wantsAcme: boolean
  /** That somebody brought. */
  readonly custom: CustomCertificate | undefined
}

export interface CustomCertificate {
  /** PEM, the leaf first. */
  readonly chain: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly createdAtMs: number
}

export interface NewCustomCertificate extends Omit<CustomCertificate, 'createdAtMs'> {
  readonly app: string
  readonly hostname: string
  /** PEM. */
  readonly key: string
}
