import type { TokenProfile } from './token-profile.ts'

export interface NewToken {
  readonly organization: string
  readonly profile: TokenProfile
  /** @default the profile's */
  readonly name?: string
  /** Required by all profiles but `org` and `readonly`. */
  readonly app?: string
  /** Required by `machine`. */
  readonly machine?: string
  /** What `machine-exec` may run: beginnings of command lines. @default anything */
  readonly commands?: readonly (readonly string[])[]
  /** @default never */
  readonly expiresInS?: number
  /** E-mail address of the member whose login it is. */
  readonly user?: string
}

export interface IssuedToken {
  /** Shared by all that is attenuated from it. */
  readonly uuid: string
  readonly name: string
  readonly profile: TokenProfile
  readonly app: string | undefined
  readonly kid: string
  readonly createdBy: string
  readonly createdAtMs: number
  readonly expiresAtMs: number | undefined
  readonly revokedAtMs: number | undefined
}

/** `header` is shown once and kept nowhere. */
export interface CreatedToken extends IssuedToken {
  readonly header: string
}

export interface Revocation {
  readonly sequence: number
  readonly uuid: string
  readonly revokedAtMs: number
}
