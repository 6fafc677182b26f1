import type { AppName, OrgSlug } from '#base'
import type { TokenProfile } from './token-profile.ts'

/**
 * Organisations, people, apps, tokens, secrets and addresses, and who changed them. Everything is in
 * one SQLite file, nothing in the process: LiteFS can replicate the file, and any process that has it
 * and the key ring can answer. Reads work on a replica; writes on the primary only.
 *
 * Calls are synchronous, as SQLite is. A write is one transaction with its line in the audit log.
 */
export interface Accounts extends AccountsReads, AccountsWrites, Disposable {}

/** @throws AccountsError, and BaseError base.slug_bad for names that can't be. */
export interface AccountsReads {
  organizations(): readonly Organization[]
  organization(slug: string): Organization | undefined
  organizationByNumber(id: number): Organization | undefined
  members(organization: OrgSlug): readonly Member[]
  app(name: string): App | undefined
  apps(organization: OrgSlug): readonly App[]
  /** Names and digests; values don't come out here: see `openSecrets`. */
  secrets(app: AppName): AppSecrets
  addresses(app: AppName): readonly Address[]
  rootKeys(organization: OrgSlug): readonly RootKey[]
  /** Opened: the bytes that verify tokens made with this key; undefined: unknown or retired. */
  rootKeySecret(kid: Uint8Array): Uint8Array | undefined
  tokens(organization: OrgSlug): readonly IssuedToken[]
  /** Revocations after `sequence`, in order. */
  revocationsAfter(sequence: number): readonly Revocation[]
  audit(query?: AuditQuery): readonly AuditEntry[]
  /** The first entry that was changed or whose predecessor was removed; undefined: the log is whole. */
  auditDamage(): number | undefined
}

/** Every one of these leaves an entry in the audit log, whatever comes of it. */
export interface AccountsWrites {
  createOrganization: Write<{ slug: string; name?: string }, Organization>
  addMember: Write<{ organization: string; email: string; role?: Role }, Member>
  removeMember: Write<{ organization: string; email: string }, void>
  createApp: Write<{ organization: string; app: string; network?: string }, App>
  /** Its secrets and addresses go with it, and its tokens are revoked. */
  deleteApp: Write<{ app: string }, void>
  /** All in one version; null removes. */
  setSecrets: Write<{ app: string; values: Readonly<Record<string, string | null>> }, AppSecrets>
  /** For who delivers them to a host; logged as a change, because it gives something away. */
  openSecrets: Write<{ app: string; host: string }, ReadonlyMap<string, string>>
  assignAddress: Write<{ app: string; ip: string; kind: AddressKind; region?: string }, Address>
  releaseAddress: Write<{ app: string; ip: string }, void>
  /** New tokens are signed with the newest key; those made before stay good until it is retired. */
  addRootKey: Write<{ organization: string }, RootKey>
  /** Its secret is destroyed: what it signed never verifies again. */
  retireRootKey: Write<{ organization: string; kid: string }, void>
  /** Seals everything anew with the newest sealing key. @returns how many values. */
  reseal: Write<Record<never, never>, number>
  createToken: Write<NewToken, CreatedToken>
  /** With all that was attenuated from it. Twice is once. */
  revokeToken: Write<{ uuid: string }, Revocation>
}

export type Write<Input, Result> = (call: Call, input: Input) => Result

/** Who wants it, for the audit log. */
export interface Call {
  /** A user, a token (`<uuid>@tokens.internal`), or a program (`cli:root`). */
  readonly who: string
  readonly requestId: string
}

export type Role = 'member' | 'admin'

export interface Organization {
  /** As tokens have it; grows from 1 and is never given twice. */
  readonly id: number
  readonly slug: OrgSlug
  readonly name: string
  readonly createdAtMs: number
}

export interface Member {
  readonly userId: number
  readonly email: string
  readonly role: Role
}

export interface App {
  /** As tokens have it; never given twice. */
  readonly id: number
  readonly name: AppName
  readonly organization: Organization
  /** `default`: the organisation's own. */
  readonly network: string
  readonly networkId: number
  readonly createdAtMs: number
}

export interface AppSecrets {
  /** Grows with every change; 0: never set. */
  readonly version: number
  readonly secrets: readonly SecretDigest[]
}

export interface SecretDigest {
  readonly name: string
  /** 16 hex digits. Keyed by app, so that equal values of two apps do not show. */
  readonly digest: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

export type AddressKind = 'v4' | 'v6' | 'shared_v4' | 'private_v6' | 'egress_v4' | 'egress_v6'

export interface Address {
  readonly ip: string
  readonly kind: AddressKind
  readonly region: string
  readonly createdAtMs: number
}

export interface RootKey {
  /** Hex. */
  readonly kid: string
  readonly createdAtMs: number
  readonly retiredAtMs: number | undefined
}

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

export interface AuditQuery {
  /** Calls that named it. */
  readonly organization?: string
  readonly app?: string
  readonly who?: string
  readonly operation?: string
  readonly sinceMs?: number
  /** The newest ones. @default 100, at most 1,000 */
  readonly limit?: number
}

export interface AuditEntry {
  readonly sequence: number
  readonly atMs: number
  readonly who: string
  readonly requestId: string
  readonly operation: string
  /** The input without its secrets. */
  readonly target: Readonly<Record<string, unknown>>
  /** `ok`, or the code of the error. */
  readonly result: string
}
