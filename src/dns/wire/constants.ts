/** Record types (IANA DNS parameters). */
export const TYPE = {
  A: 1,
  NS: 2,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  ANY: 255,
  CAA: 257,
} as const

export const CLASS_IN = 1

/** Response codes (RFC 1035, section 4.1.1; BADVERS is RFC 6891, section 9). */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const

export const HEADER_BYTES = 12
/** What a client without EDNS takes over UDP (RFC 1035, section 2.3.4). */
export const UDP_PLAIN_BYTES = 512
/** What the resolver sends over UDP at most: never fragmented (DNS flag day 2020). */
export const UDP_EDNS_BYTES = 1232
export const TCP_BYTES_MAX = 65_535

/** `NXDOMAIN`; `RCODE11` for one that has no name here. */
export function rcodeName(rcode: number): string {
  const found = Object.entries(RCODE).find(([, value]) => value === rcode)
  return found?.[0] ?? `RCODE${rcode}`
}
