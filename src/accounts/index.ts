/**
 * accounts: organisations, people, apps, secrets, addresses, releases, the roots of tokens, and the log of who
 * changed them. Owns the truth about all of these, in one SQLite file. Used by #flaps and the CLI.
 *
 * Reading order: accounts.ts (the interface; app.ts, token.ts and others have what it speaks of), open-accounts.ts, audit-log.ts, key-ring.ts (sealing),
 * secret-keys/, root-keys.ts and issued-tokens.ts, token-profile.ts, revocation-feed.ts;
 * logins.ts lets people in with a client; auth-service.ts vouches for users who are logged in.
 */
export type { Accounts, AccountsReads, AccountsWrites } from './accounts.ts'
export type { Address, App } from './app.ts'
export type { AppSecrets, SecretKey } from './app-secret.ts'
export type { AuditEntry } from './audit-entry.ts'
export type { AuthServiceOptions, Login as UserLogin } from './auth-service.ts'
export { authService } from './auth-service.ts'
export type { Call } from './call.ts'
export type { AccountsErrorCode } from './errors.ts'
export { AccountsError } from './errors.ts'
export type { CustomCertificate, HostnameRecord, NewCustomCertificate } from './hostname.ts'
export type { JoinToken, NewJoinToken } from './join-token.ts'
export { KeyRing, readKeyRing } from './key-ring.ts'
export type { Login, Logins } from './login.ts'
export type {
  NetworkPolicy,
  NetworkPolicyContent,
  NetworkPolicyRule,
  NetworkPolicySelector,
} from './network-policy.ts'
export { openAccounts } from './open-accounts.ts'
export type { Member, Organization } from './organization.ts'
export type { Release, ReleaseStatus } from './release.ts'
export type { RevocationSource } from './revocation-feed.ts'
export { RevocationFeed } from './revocation-feed.ts'
export { checkKeyBytes, keyKindOf, newKeyBytes, SECRET_KEY_TYPES } from './secret-keys/key-type.ts'
export { type KeyUse, useKey } from './secret-keys/use-key.ts'
export type { IdentityKey, RootKey } from './signing-key.ts'
export type { NewSshCertificate } from './ssh-certificate.ts'
export type { CreatedToken, IssuedToken, NewToken } from './token.ts'
export type { TokenProfile } from './token-profile.ts'
export { keyUseCaveats, TOKEN_PROFILES } from './token-profile.ts'
export type { WireGuardPeer } from './wireguard-peer.ts'
