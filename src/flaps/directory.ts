import type { Verifier, WireInteger } from '#macaroon'

/** What the API needs to know of organisations and apps, and may change there. Owner: #accounts. */
export interface Directory {
  /** Who issued a token, and whether it still counts. */
  readonly verifier: Verifier
  organization(slug: string, signal: AbortSignal): Promise<Organization | undefined>
  /** By its id in tokens. */
  organizationOfToken(id: WireInteger, signal: AbortSignal): Promise<Organization | undefined>
  app(name: string, signal: AbortSignal): Promise<App | undefined>
  apps(
    organization: Organization,
    options: { role?: string; signal: AbortSignal },
  ): Promise<readonly App[]>
  /** @throws FlapsError flaps.app_name_taken, flaps.unprocessable */
  createApp(input: NewApp, by: Author): Promise<App>
  /** Its machines and volumes are gone by now; addresses, certificates and secrets go with it. */
  deleteApp(app: App, by: Author): Promise<void>
  /** A token for one app, as a header's value. */
  createDeployToken(
    app: App,
    options: { expiresInS: number | undefined },
    by: Author,
  ): Promise<string>
  readonly secrets: AppSecrets
  readonly addresses: AppAddresses
  /** Remembers a mutating call, whatever came of it. */
  record(entry: AuditEntry): void
}

/** Who wants a change, for the audit log. */
export interface Author {
  readonly who: string
  readonly requestId: string
  readonly signal: AbortSignal
}

export interface Organization {
  readonly id: string
  /** As tokens have it; at most 2^31 - 1, for clients keep it in an int32. */
  readonly numericId: number
  readonly slug: string
  readonly name: string
}

export interface App {
  readonly id: string
  readonly numericId: number
  readonly name: string
  readonly organization: Organization
  /** `default`: the organisation's own. */
  readonly network: string
  readonly networkId: number
  readonly role: string
  readonly createdAtMs: number
}

export interface NewApp {
  readonly name: string
  readonly organization: Organization
  readonly network: string
  readonly role: string
  readonly enableSubdomains: boolean
  /** The same key and name give the app that was made first. */
  readonly idempotencyKey: string | undefined
}

/** Values go in and never come out here: hosts get them sealed. */
export interface AppSecrets {
  /** Waits until at least `minVersion` is visible. */
  list(
    app: App,
    options: { minVersion: number; signal: AbortSignal },
  ): Promise<readonly SecretDigest[]>
  /** One version for all of them; null removes. */
  set(
    app: App,
    values: Readonly<Record<string, string | null>>,
    by: Author,
  ): Promise<{ readonly version: number; readonly secrets: readonly SecretDigest[] }>
}

export interface SecretDigest {
  readonly name: string
  readonly digest: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

export type AddressKind =
  | 'v4'
  | 'v6'
  | 'shared_v4'
  | 'private_v6'
  | 'egress_v4'
  | 'egress_v6'
  | 'egress_pair'

export interface AppAddresses {
  list(app: App, signal: AbortSignal): Promise<readonly Address[]>
  /** More than one for a pair. @throws FlapsError flaps.unprocessable */
  assign(app: App, input: NewAddress, by: Author): Promise<readonly Address[]>
  /** False: the app does not have it. */
  release(app: App, ip: string, by: Author): Promise<boolean>
}

export interface Address {
  readonly ip: string
  readonly kind: AddressKind
  readonly region: string
  readonly serviceName: string
  readonly network: { readonly name: string; readonly orgSlug: string } | undefined
  readonly createdAtMs: number
}

export interface NewAddress {
  readonly kind: AddressKind
  readonly region: string
  readonly network: string
  readonly orgSlug: string
  readonly serviceName: string
}

export interface AuditEntry {
  readonly atMs: number
  readonly requestId: string
  /** Operation of the OpenAPI document. */
  readonly operation: string
  readonly path: string
  /** Of the token that allowed it; undefined: none did. */
  readonly owner: string | undefined
  readonly orgSlug: string | undefined
  readonly appName: string | undefined
  readonly status: number
}
