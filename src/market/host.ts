import { MarketError } from './errors.ts'

declare const brand: unique symbol

/** Names a host. Becomes a token of NATS subjects. */
export type HostId = string & { readonly [brand]: 'HostId' }
/** Names a region, like `ams`. Becomes a token of NATS subjects. */
export type Region = string & { readonly [brand]: 'Region' }
/** Names who asks, one instance of flaps. Becomes a token of NATS subjects. */
export type ClientId = string & { readonly [brand]: 'ClientId' }

/**
 * A token of a subject may hold anything but dots, blanks and wildcards; ours hold less.
 * Source: NATS documentation, "Subject-Based Messaging".
 */
export const TOKEN_PATTERN = '^[A-Za-z0-9_-]{1,64}$'
const TOKEN = new RegExp(TOKEN_PATTERN)

/** @throws MarketError market.id_bad */
export const parseHostId = (text: string): HostId => token(text, 'host id') as HostId

/** @throws MarketError market.id_bad */
export const parseRegion = (text: string): Region => token(text, 'region') as Region

/** @throws MarketError market.id_bad */
export const parseClientId = (text: string): ClientId => token(text, 'client id') as ClientId

function token(text: string, kind: string): string {
  if (TOKEN.test(text)) return text
  throw new MarketError('market.id_bad', {
    what: `not a ${kind}`,
    values: { value: text },
    fix: "use 1 to 64 letters, digits, '-' and '_'",
  })
}

/** What a host is, whatever runs on it. */
export interface HostFacts {
  readonly host: HostId
  readonly region: Region
  /** Kind of the server, such as `epyc-9554`: what `PlacementRequest.hardware` is compared with. */
  readonly hardware: string
  /** Only placements with this dedication id are taken. Absent: only those without one. */
  readonly dedication?: string
}

/** What runs on a host, as the bidder asks it. Answers from memory: called for every ask. */
export interface HostView {
  /** A machine or volume of that id lives here, in whatever state. */
  holds(id: string): boolean
  /** Machines of that app that live here. */
  countOfApp(app: string): number
  /** All layers of that image are in the local cache. */
  hasImage(reference: string): boolean
}
