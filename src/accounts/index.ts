/**
 * accounts: organisations, people, apps, secrets, addresses, the roots of tokens, and the log of who
 * changed them. Owns the truth about all of these, in one SQLite file. Used by #flaps and the CLI.
 *
 * Reading order: accounts.ts (the interface), open-accounts.ts, audit-log.ts, key-ring.ts (sealing),
 * root-keys.ts and issued-tokens.ts, token-profile.ts, revocation-feed.ts.
 */
export type {
  Accounts,
  AccountsReads,
  AccountsWrites,
  Address,
  App,
  AppSecrets,
  AuditEntry,
  Call,
  CreatedToken,
  IssuedToken,
  Member,
  Organization,
  RootKey,
} from './accounts.ts'
export type { AccountsErrorCode } from './errors.ts'
export { AccountsError } from './errors.ts'
export { KeyRing, newKeyLine, readKeyRing } from './key-ring.ts'
export { openAccounts } from './open-accounts.ts'
export type { RevocationSource } from './revocation-feed.ts'
export { RevocationFeed } from './revocation-feed.ts'
export type { TokenProfile } from './token-profile.ts'
export { TOKEN_PROFILES } from './token-profile.ts'
