import type { Utilisation } from './capacity.ts'
import type { HostId, Region } from './host.ts'
import type { Refusal } from './refusal.ts'

/** A host offers itself. Nothing is reserved by it. */
export interface Bid {
  readonly host: HostId
  readonly region: Region
  /** With the machine on it. */
  readonly utilisation: Utilisation
  /** Machines of the app that live there already. */
  readonly appMachines: number
  readonly hasImage: boolean
}

/** What a host says to an ask: every host that hears it answers, so that reasons can be told. */
export type Answer =
  | { readonly type: 'bid'; readonly bid: Bid }
  | { readonly type: 'refusal'; readonly refusal: Refusal }
