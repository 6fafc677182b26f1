/**
 * Why bytes are no HTTP/1.1 message. Small negative integers, because the parser answers with an offset
 * or with one of these. The names are stable: they stand in logs and metrics, and docs/proxy.md lists them.
 */
export const Fault = {
  /** Method, target or version is malformed, or a bare CR or LF stands in the first line. */
  startLine: -1,
  /** A field line without a name, with a space before the colon, or with a forbidden octet. */
  field: -2,
  /** A field line continued on the next line (RFC 9112, section 5.2). */
  fold: -3,
  /** None, several or a malformed Host. */
  host: -4,
  /** Content-Length is no number, or there are several. */
  contentLength: -5,
  /** Transfer-Encoding beside Content-Length, twice, or in HTTP/1.0. */
  transferEncoding: -6,
  /** A transfer coding other than chunked. */
  coding: -7,
  /** The head is larger than allowed, or has too many fields. */
  headTooLarge: -8,
  /** The target is longer than allowed. */
  targetTooLong: -9,
  /** Neither HTTP/1.0 nor HTTP/1.1. */
  version: -10,
  /** CONNECT: this is no forward proxy. */
  method: -11,
  /** A chunk's size, extension or end is malformed. */
  chunk: -12,
  /** The trailer section is malformed or too large. */
  trailer: -13,
  /** Expect with something other than 100-continue. */
  expectation: -14,
} as const
export type Fault = (typeof Fault)[keyof typeof Fault]

/** The name of a fault, for logs. */
export const faultName = (fault: number): string =>
  Object.entries(Fault).find(([, value]) => value === fault)?.[0] ?? `fault${fault}`

/** What the client is answered. Source: RFC 9110, section 15; 431 is RFC 6585. */
export function faultStatus(fault: number): 400 | 405 | 414 | 417 | 431 | 501 | 505 {
  switch (fault) {
    case Fault.headTooLarge:
      return 431
    case Fault.targetTooLong:
      return 414
    case Fault.coding:
      return 501
    case Fault.version:
      return 505
    case Fault.method:
      return 405
    case Fault.expectation:
      return 417
    default:
      return 400
  }
}
