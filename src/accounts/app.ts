import type { AppName } from '#base'
import type { Organization } from './organization.ts'

export interface App {
  /** As tokens have it; never given twice. */
  readonly id: number
  readonly name: AppName
  readonly organization: Organization
  /** `default`: the organisation's own. */
  readonly network: string
  readonly networkId: number
  /** What whoever made it calls its purpose; empty: nothing. */
  readonly role: string
  readonly createdAtMs: number
}

export interface NewApp {
  readonly organization: string
  /** Empty: the app of this idempotency key. */
  readonly app: string
  /** @default the organisation's own */
  readonly network?: string
  readonly role?: string
  readonly idempotencyKey?: string
}

export type AddressKind = 'v4' | 'v6' | 'shared_v4' | 'private_v6' | 'egress_v4' | 'egress_v6'

export interface Address {
  readonly ip: string
  readonly kind: AddressKind
  readonly region: string
  readonly createdAtMs: number
}
