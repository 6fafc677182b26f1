import type { Accounts } from '#accounts'
import type { ImageLookup } from './image-lookup.ts'

/** What of accounts only the web API shows or changes. */
export type WebAccounts = Pick<
  Accounts,
  | 'members'
  | 'appOfRelease'
  | 'userOfToken'
  | 'beginLogin'
  | 'redeemLogin'
  | 'createOrganization'
  | 'addMember'
>

export interface WebApiOptions {
  readonly accounts: WebAccounts
  readonly images: ImageLookup
  /** `<app>.<domain>` are the apps' own names. Absent: they have none. */
  readonly appDomain?: string | undefined
  /** The server speaks TLS itself. */
  readonly isTls?: boolean
}
