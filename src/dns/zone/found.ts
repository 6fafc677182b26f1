import type { Labels } from '../wire/names.ts'

/** Where a service listens on one machine: an SRV record, and the address of its target. */
export interface ServiceTarget {
  /** The lowest is asked first (RFC 2782). */
  readonly priority: number
  readonly port: number
  readonly target: Labels
  readonly address: Buffer
}

/** What a name has. None of the lists: the name exists without records that a client may ask for (NODATA). */
export interface Found {
  readonly aaaa?: readonly Buffer[]
  readonly txt?: Buffer
  readonly services?: readonly ServiceTarget[]
  /** For people: which rule of docs/dns.md made it. */
  readonly why: string
}
