/** What a name has. Neither list: the name exists without records that a client may ask for (NODATA). */
export interface Found {
  readonly aaaa?: readonly Buffer[]
  readonly txt?: Buffer
  /** For people: which rule of docs/dns.md made it. */
  readonly why: string
}
