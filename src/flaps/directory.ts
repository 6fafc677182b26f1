import type {
  CustomCertificate,
  IssuedToken,
  KeyUse,
  NetworkPolicy,
  NetworkPolicyContent,
  NewToken,
  Release,
  ReleaseStatus,
} from '#accounts'
import type { Verifier, WireInteger } from '#macaroon'
import type { GatewayRow } from './rows.ts'

/** What the API needs to know of organisations and apps, and may change there. Owner: #accounts. */
export interface Directory {
  /** Who issued a token, and whether it still counts. */
  readonly verifier: Verifier
  organization(slug: string, signal: AbortSignal): Promise<Organization | undefined>
  organizations(signal: AbortSignal): Promise<readonly Organization[]>
  /** With a token for all of it, as a header's value. @throws AccountsError accounts.taken; BaseError base.slug_bad */
  createOrganization(
    input: { slug: string; name: string | undefined },
    by: Author,
  ): Promise<{ organization: Organization; token: string }>
  /** Its tokens are revoked. @throws AccountsError accounts.in_use: it has apps, or is the operators' */
  deleteOrganization(organization: Organization, by: Author): Promise<void>
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
  /** For requests of the machine itself, by its socket: a header's value that is good for nothing else. */
  createMachineToken(app: App, machine: string): Promise<string>
  /** To use the app's secret keys, and for nothing else: a header's value. */
  createKeyToken(app: App, options: { expiresInS: number }): Promise<string>
  /** Lets whoever has the private key into machines: of that app, or of all apps. */
  issueSshCertificate(input: NewSshCertificate, by: Author): Promise<SshCertificate>
  readonly secrets: AppSecrets
  readonly secretKeys: AppSecretKeys
  readonly addresses: AppAddresses
  readonly policies: AppNetworkPolicies
  readonly hostnames: AppHostnames
  readonly releases: AppReleases
  readonly peers: OrganizationPeers
  readonly tokens: OrganizationTokens
  /** Remembers a mutating call, whatever came of it. */
  record(entry: AuditEntry): void
}

export type { IssuedToken }

/** What was issued. A token itself is seen once, by who asked for it. */
export interface OrganizationTokens {
  /** Newest first. */
  list(organization: Organization, signal: AbortSignal): Promise<readonly IssuedToken[]>
  /** @throws AccountsError accounts.bad_input */
  create(
    organization: Organization,
    input: Omit<NewToken, 'organization'>,
    by: Author,
  ): Promise<IssuedToken & { readonly header: string }>
  /** False: the organisation has none of that id. */
  revoke(organization: Organization, uuid: string, by: Author): Promise<boolean>
}

/** Devices of people that join the organisation's networks. */
export interface OrganizationPeers {
  list(organization: Organization, signal: AbortSignal): Promise<readonly Peer[]>
  /** @throws FlapsError flaps.name_exists, flaps.unprocessable */
  add(organization: Organization, input: NewPeer, by: Author): Promise<Peer>
  /** False: there is none of that name. */
  remove(organization: Organization, name: string, by: Author): Promise<boolean>
}

export interface NewPeer {
  readonly name: string
  readonly publicKey: string
  /** Empty: the organisation's own. */
  readonly network: string
  readonly gateway: GatewayRow
}

export interface Peer {
  readonly name: string
  readonly publicKey: string
  readonly network: string
  /** Id of the host that it connects to. */
  readonly gateway: string
  readonly region: string
  readonly peerIp: string
  readonly createdAtMs: number
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
  /** That of whoever runs the platform. @default false */
  readonly isOperator?: boolean
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

export interface NewSshCertificate {
  readonly organization: Organization
  readonly app: App | undefined
  /** `ssh-ed25519 AAAA...` */
  readonly publicKey: string
  readonly principals: readonly string[]
  readonly validHours: number
}

export interface SshCertificate {
  /** As a line of a file `NAME-cert.pub`. */
  readonly certificate: string
  readonly expiresAtMs: number
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

export type { KeyUse }

/** Keys that the platform uses for an app. They never come out. */
export interface AppSecretKeys {
  list(
    app: App,
    options: { minVersion: number; signal: AbortSignal },
  ): Promise<readonly SecretKey[]>
  /** Without `key`, a new one. @throws FlapsError flaps.argument_bad */
  set(
    app: App,
    input: { name: string; type: string; key: Uint8Array | undefined },
    by: Author,
  ): Promise<{ readonly version: number; readonly key: SecretKey }>
  /** @returns the version without it. @throws FlapsError flaps.not_found */
  remove(app: App, name: string, by: Author): Promise<number>
  /** @throws FlapsError flaps.not_found, flaps.argument_bad: forged, or not for keys of its type */
  use(app: App, name: string, use: KeyUse): Promise<Uint8Array>
}

export interface SecretKey {
  readonly name: string
  readonly type: string
  /** Undefined: nothing of this type is public. */
  readonly publicKey: Uint8Array | undefined
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

/** Names of its own that an app is to have certificates for. The proxy's edges get them. */
export interface AppHostnames {
  list(app: App, signal: AbortSignal): Promise<readonly AppHostname[]>
  /** Twice is once. @throws FlapsError flaps.unprocessable: no host name, or another app has it */
  add(app: App, hostname: string, by: Author): Promise<void>
  /** False: the app does not have it. */
  remove(app: App, hostname: string, by: Author): Promise<boolean>
  /**
   * A certificate that somebody brought, in place of one brought before. Adds the name, too.
   *
   * @throws FlapsError flaps.unprocessable: no host name, or another app has it
   */
  setCustom(app: App, hostname: string, brought: BroughtCertificate, by: Author): Promise<void>
  /** The name stays. False: there is none. */
  removeCustom(app: App, hostname: string, by: Author): Promise<boolean>
  /** The name stays, and the edges get nothing for it any more. False: they did not. */
  stopAcme(app: App, hostname: string, by: Author): Promise<boolean>
}

/** That the API has checked: docs/machines-api.md. */
export interface BroughtCertificate {
  /** PEM, the leaf first. */
  readonly chain: string
  /** PKCS #8, PEM. */
  readonly key: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

export interface AppHostname {
  readonly hostname: string
  readonly createdAtMs: number
  /** The edges are to get and renew a certificate. */
  readonly wantsAcme: boolean
  /** That somebody brought. */
  readonly custom: CustomCertificate | undefined
}

export type { CustomCertificate }

/** What was deployed. The API keeps it for whoever deploys next; it means nothing to hosts. */
export interface AppReleases {
  /** Newest first. */
  list(app: App, options: { limit: number; signal: AbortSignal }): Promise<readonly Release[]>
  create(
    app: App,
    input: { image: string; strategy: string; definition: unknown },
    by: Author,
  ): Promise<Release>
  /** @throws FlapsError flaps.not_found */
  update(
    app: App,
    id: string,
    change: { status: ReleaseStatus; error: string; ttlMs?: number | undefined },
    by: Author,
  ): Promise<Release>
}

export type { Release, ReleaseStatus }

export interface SecretDigest {
  readonly name: string
  readonly digest: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

/** Hosts keep to them from a machine's next start on. */
export interface AppNetworkPolicies {
  list(app: App, signal: AbortSignal): Promise<readonly NetworkPolicy[]>
  /**
   * With an id, in place of that one.
   *
   * @throws FlapsError flaps.not_found, flaps.name_exists, flaps.unprocessable
   */
  put(
    app: App,
    policy: NetworkPolicyContent & { readonly id: string | undefined },
    by: Author,
  ): Promise<NetworkPolicy>
  /** False: the app does not have it. */
  remove(app: App, id: string, by: Author): Promise<boolean>
}

export type { NetworkPolicy, NetworkPolicyContent }

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
