export interface IdentityKey {
  readonly kid: string
  /** The public half. Source: RFC 7517. */
  readonly jwk: Readonly<Record<string, unknown>>
  /** Not so old that another is to sign. */
  readonly isToSign: boolean
}

export interface RootKey {
  /** Hex. */
  readonly kid: string
  readonly createdAtMs: number
  readonly retiredAtMs: number | undefined
}
