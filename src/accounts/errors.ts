import { GodwitError } from '#base'

export type AccountsErrorCode = keyof typeof AccountsError.catalogue

/** What this part throws on purpose. No value of a secret or a key is ever in `values`. */
export class AccountsError extends GodwitError<AccountsErrorCode> {
  static override readonly catalogue = {
    'accounts.not_found': { status: 404 },
    'accounts.taken': { status: 409 },
    /** What others stand on is not removed. */
    'accounts.in_use': { status: 412 },
    'accounts.bad_input': { status: 400 },
    /** A server may not join the cluster with this token, or not any more. */
    'accounts.join_refused': { status: 403 },
    /** Of logins that wait to be confirmed. */
    'accounts.logins_full': { status: 429, transient: true },
    'accounts.root_key_missing': { status: 409 },
    'accounts.root_key_newest': { status: 409 },
    /** The key ring's file is missing, unreadable for us or readable for others, or no key ring. */
    'accounts.key_file_bad': { status: 500 },
    /** Something was sealed with a key that is not in the ring. */
    'accounts.sealing_key_missing': { status: 500 },
    /** Sealed bytes were changed, or moved to another row. */
    'accounts.tampered': { status: 500 },
    'accounts.schema_newer': { status: 500 },
  } as const
}

export const notFound = (what: string, values: Readonly<Record<string, unknown>>, fix?: string) =>
  new AccountsError('accounts.not_found', {
    what: `no such ${what}`,
    values,
    ...(fix === undefined ? {} : { fix }),
  })

export const badInput = (what: string, values: Readonly<Record<string, unknown>>, fix: string) =>
  new AccountsError('accounts.bad_input', { what, values, fix })
