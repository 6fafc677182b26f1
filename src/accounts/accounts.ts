import type { Address, AddressKind, App, NewApp } from './app.ts'
import type { AppSecrets, SecretKey } from './app-secret.ts'
import type { AuditEntry, AuditQuery } from './audit-entry.ts'
import type { Write } from './call.ts'
import type { HostnameRecord, NewCustomCertificate } from './hostname.ts'
import type { JoinToken, NewJoinToken } from './join-token.ts'
import type { Login, Logins } from './login.ts'
import type { MachineNameClaims } from './machine-name.ts'
import type { NetworkPolicy, NetworkPolicyContent } from './network-policy.ts'
import type { Member, Organization, Role } from './organization.ts'
import type { Release, ReleaseStatus } from './release.ts'
import type { KeyUse } from './secret-keys/use-key.ts'
import type { IdentityKey, RootKey } from './signing-key.ts'
import type { NewSshCertificate } from './ssh-certificate.ts'
import type { CreatedToken, IssuedToken, NewToken, Revocation } from './token.ts'
import type { NewWireGuardPeer, WireGuardPeer } from './wireguard-peer.ts'

/**
 * Organisations, people, apps, tokens, secrets and addresses, and who changed them. Everything is in
 * one SQLite file, nothing in the process: LiteFS can replicate the file, and any process that has it
 * and the key ring can answer. Reads work on a replica; writes on the primary only.
 *
 * Calls are synchronous, as SQLite is. A write is one transaction with its line in the audit log.
 */
export interface Accounts
  extends AccountsReads,
    AccountsWrites,
    MachineNameClaims,
    Logins,
    Disposable {}

/** @throws AccountsError, and BaseError base.slug_bad for names that can't be. */
export interface AccountsReads {
  organizations(): readonly Organization[]
  organization(slug: string): Organization | undefined
  organizationByNumber(id: number): Organization | undefined
  /** Whose network it is, by its id in addresses. */
  organizationOfNetwork(networkId: number): Organization | undefined
  members(organization: string): readonly Member[]
  app(name: string): App | undefined
  apps(organization: string): readonly App[]
  /** Names and digests; values don't come out here: see `openSecrets`. */
  secrets(app: string): AppSecrets
  /** Names, types and public halves. */
  secretKeys(app: string): readonly SecretKey[]
  /**
   * The key itself never comes out. @returns ciphertext, plaintext or signature; nothing for `verify`
   *
   * @throws AccountsError accounts.bad_input: keys of its type cannot do that, or it was not made with this key
   */
  useSecretKey(app: string, name: string, use: KeyUse): Uint8Array
  addresses(app: string): readonly Address[]
  networkPolicies(app: string): readonly NetworkPolicy[]
  /** Devices of people in the organisation's networks, by name. */
  wireguardPeers(organization: string): readonly WireGuardPeer[]
  /** Names of its own that it is to have certificates for. */
  hostnames(app: string): readonly HostnameRecord[]
  /** The private key of the certificate that somebody brought for it, PEM; undefined: nobody has. */
  customCertificateKey(hostname: string): string | undefined
  /** Newest first. @param limit of them. @default 25, at most 1,000 */
  releases(app: string, limit?: number): readonly Release[]
  /** Whose release it is. */
  appOfRelease(id: string): App | undefined
  rootKeys(organization: string): readonly RootKey[]
  /** Opened: the bytes that verify tokens made with this key; undefined: unknown or retired. */
  rootKeySecret(kid: Uint8Array): Uint8Array | undefined
  /** Of what this platform says to others, the newest first; those that signed until lately, too. */
  identityKeys(): readonly IdentityKey[]
  /** RS256. @throws AccountsError accounts.not_found */
  signIdentity(kid: string, text: string): Uint8Array
  /**
   * For requests that come from the machine itself, and no others: short, and in no list of tokens.
   *
   * @returns a header's value
   */
  machineToken(about: { app: string; machine: string; expiresInS: number }): string
  /** To use the app's secret keys, and for nothing else: short, and in no list of tokens. @returns a header's value */
  keyToken(about: { app: string; expiresInS: number }): string
  /** Raw Ed25519 key of who signs certificates for ssh; undefined: none was ever asked for. */
  sshAuthority(organization: string): Uint8Array | undefined
  tokens(organization: string): readonly IssuedToken[]
  /** Who got it by logging in: their e-mail address. */
  userOfToken(uuid: string): string | undefined
  /** Those that wait. */
  logins(): readonly Login[]
  /** Revocations after `sequence`, in order. */
  revocationsAfter(sequence: number): readonly Revocation[]
  /** With which servers join the cluster, the newest first. */
  joinTokens(): readonly JoinToken[]
  /** Undefined: there is none of that id and secret. Whether it may still be used, `useJoinToken` says. */
  joinToken(id: string, secret: string): JoinToken | undefined
  audit(query?: AuditQuery): readonly AuditEntry[]
  /** The first entry that was changed or whose predecessor was removed; undefined: the log is whole. */
  auditDamage(): number | undefined
}

/** Every one of these leaves an entry in the audit log, whatever comes of it. */
export interface AccountsWrites {
  createOrganization: Write<{ slug: string; name?: string; isOperator?: boolean }, Organization>
  /**
   * Its tokens are revoked; its members, devices and networks go with it.
   *
   * @throws AccountsError accounts.in_use: it has apps, or it is the operators'
   */
  deleteOrganization: Write<{ organization: string }, void>
  /** @throws AccountsError accounts.bad_input */
  createJoinToken: Write<NewJoinToken, JoinToken & { readonly secret: string }>
  revokeJoinToken: Write<{ id: string }, void>
  /**
   * One use of it, unless the server of that key has used it before: then the same again.
   *
   * @throws AccountsError accounts.join_refused, accounts.not_found
   */
  useJoinToken: Write<{ id: string; host: string; ip: string; nkey: string }, JoinToken>
  /** Leaves an entry: the cluster has lost this host for good. */
  removeHost: Write<{ host: string }, void>
  addMember: Write<{ organization: string; email: string; role?: Role }, Member>
  /** The tokens that they got there by logging in are revoked. */
  removeMember: Write<{ organization: string; email: string }, void>
  /** Once for each idempotency key of an organisation: the same key and name, or none, give the app again. */
  createApp: Write<NewApp, App>
  /** Its secrets and addresses go with it, and its tokens are revoked. */
  deleteApp: Write<{ app: string }, void>
  /** All in one version; null removes. */
  setSecrets: Write<{ app: string; values: Readonly<Record<string, string | null>> }, AppSecrets>
  /** For who delivers them to a host; logged as a change, because it gives something away. */
  openSecrets: Write<{ app: string; host: string }, ReadonlyMap<string, string>>
  /** Without `key`, a new one. It takes the place of one of this name. */
  setSecretKey: Write<
    { app: string; name: string; type: string; key?: Uint8Array | undefined },
    { version: number; key: SecretKey }
  >
  removeSecretKey: Write<{ app: string; name: string }, { version: number }>
  assignAddress: Write<{ app: string; ip: string; kind: AddressKind; region?: string }, Address>
  releaseAddress: Write<{ app: string; ip: string }, void>
  /**
   * With an `id`, in place of that one.
   *
   * @throws AccountsError accounts.not_found, accounts.bad_input; accounts.taken: the app has one of this name
   */
  putNetworkPolicy: Write<
    NetworkPolicyContent & { app: string; id?: string | undefined },
    NetworkPolicy
  >
  removeNetworkPolicy: Write<{ app: string; id: string }, void>
  /** @throws AccountsError accounts.taken, accounts.bad_input: also when the network has 256 at this gateway */
  addWireguardPeer: Write<NewWireGuardPeer, WireGuardPeer>
  removeWireguardPeer: Write<{ organization: string; name: string }, void>
  /** Twice is once. @throws AccountsError accounts.taken: another app has it */
  addHostname: Write<{ app: string; hostname: string }, void>
  removeHostname: Write<{ app: string; hostname: string }, void>
  /**
   * A certificate that somebody brought, in place of one brought before; who calls has checked it. A name that
   * the app does not have is added, and no other certificate is got for it.
   *
   * @throws AccountsError accounts.taken: another app has the name
   */
  setCustomCertificate: Write<NewCustomCertificate, void>
  /** The name stays. @throws AccountsError accounts.not_found */
  removeCustomCertificate: Write<{ app: string; hostname: string }, void>
  /** The name stays, and no certificate is got for it any more. @throws AccountsError accounts.not_found */
  stopAcme: Write<{ app: string; hostname: string }, void>
  /** Lets whoever has the private key into machines. @throws SshError ssh.key_bad */
  issueSshCertificate: Write<NewSshCertificate, { certificate: string; expiresAtMs: number }>
  /** The next version of the app. The newest 500 are kept. */
  createRelease: Write<
    { app: string; image: string; strategy: string; definition: unknown },
    Release
  >
  /** `ttlMs`: while it is under way, more is told within so long, or it reads as interrupted. @default an hour */
  updateRelease: Write<
    { app: string; id: string; status: ReleaseStatus; error?: string; ttlMs?: number | undefined },
    Release
  >
  addIdentityKey: Write<Record<never, never>, IdentityKey>
  /** New tokens are signed with the newest key; those made before stay good until it is retired. */
  addRootKey: Write<{ organization: string }, RootKey>
  /** Its secret is destroyed: what it signed never verifies again. */
  retireRootKey: Write<{ organization: string; kid: string }, void>
  /** Seals everything anew with the newest sealing key. @returns how many values. */
  reseal: Write<Record<never, never>, number>
  createToken: Write<NewToken, CreatedToken>
  /** Whoever began it may have tokens of that person's organisations. @throws AccountsError accounts.not_found */
  confirmLogin: Write<{ code: string; email: string }, void>
  /** With all that was attenuated from it. Twice is once. */
  revokeToken: Write<{ uuid: string }, Revocation>
}
