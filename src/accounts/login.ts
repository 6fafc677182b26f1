import type { Call } from './call.ts'

/**
 * People who log in with a client: it begins and shows a code, somebody who knows them confirms it, it asks with its
 * secret and gets tokens, once.
 */
export interface Logins {
  /** @throws AccountsError accounts.logins_full */
  beginLogin(input: { name: string }): { readonly secret: string; readonly code: string }
  /** A header's value with a token of each of their organisations; undefined: not confirmed, or over. */
  redeemLogin(call: Call, secret: string): string | undefined
}

export interface Login {
  /** As the client shows it, such as `BCDF-2345`. */
  readonly code: string
  /** As the client says. */
  readonly name: string
  readonly isConfirmed: boolean
  readonly untilMs: number
}
