import type { WireInteger } from './wire-integer.ts'

/**
 * Who asks a third party for a discharge, as far as the third party found out. A ticket's caveats
 * are judged against it. Every list may be empty; one match is enough.
 */
export interface DischargeRequest {
  readonly flyio?: readonly FlyioLogin[]
  readonly google?: readonly GoogleLogin[]
  readonly github?: readonly GitHubLogin[]
  /** When the discharge would run out, milliseconds since the epoch. */
  readonly expiryMs: number
}

export interface FlyioLogin {
  readonly userId: WireInteger
  readonly organizationIds: readonly WireInteger[]
}

export interface GoogleLogin {
  /** Hosted domain; compared byte by byte. */
  readonly hd: string
  readonly userId: WireInteger
  readonly email: string
}

export interface GitHubLogin {
  readonly orgIds: readonly WireInteger[]
  readonly userId: WireInteger
  readonly login: string
}
