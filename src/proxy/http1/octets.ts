/** Octets: which may stand where (in tables, because the parser asks once per byte), and what texts begin with. */

const table = (isIn: (octet: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, octet) => (isIn(octet) ? 1 : 0))

const isAlphanumeric = (octet: number) => /[0-9A-Za-z]/.test(String.fromCharCode(octet))
const isOneOf = (octet: number, octets: string) => octets.includes(String.fromCharCode(octet))

/** `tchar`. Source: RFC 9110, section 5.6.2. */
export const TOKEN = table((octet) => isAlphanumeric(octet) || isOneOf(octet, "!#$%&'*+-.^_`|~"))

/** What a field value may hold: HTAB, SP, VCHAR, obs-text. Source: RFC 9110, section 5.5. */
export const FIELD_VALUE = table((octet) => octet === 9 || (octet >= 32 && octet !== 127))

/**
 * A request target: visible ASCII without `#`, which never travels. Wider than RFC 3986, for browsers
 * send `|`, `{` and `"` as they are; narrower than nginx, which takes any octet above 127.
 */
export const TARGET = table((octet) => octet > 32 && octet < 127 && octet !== 35)

/** A host and port as `Host` has them, IPv6 in brackets included. Source: RFC 3986, section 3.2.2. */
export const AUTHORITY = table(
  (octet) => isAlphanumeric(octet) || isOneOf(octet, "-._~%!$&'()*+;=:[]"),
)

/**
 * For comparing field names: lower case, and `_` as `-`, because CGI and what descends from it hand
 * both to the app under one name. 0 where no token character stands.
 */
export const NAME_FOLD = Uint8Array.from({ length: 256 }, (_, octet) => {
  if (TOKEN[octet] === 0) return 0
  if (octet === 95) return 45
  return octet >= 65 && octet <= 90 ? octet + 32 : octet
})

/** The value of a hexadecimal digit, 255 for anything else. */
export const HEX_VALUE = Uint8Array.from({ length: 256 }, (_, octet) => {
  const value = Number.parseInt(String.fromCharCode(octet), 16)
  return Number.isNaN(value) ? 255 : value
})

export const CR = 13
export const LF = 10
export const SP = 32
export const HTAB = 9
export const COLON = 58

/** bytes[start, end) is the beginning of `prefix`, or begins with it. HOT. */
export function couldBegin(
  bytes: Uint8Array,
  start: number,
  end: number,
  prefix: Uint8Array,
): boolean {
  const length = Math.min(end - start, prefix.length)
  for (let index = 0; index < length; index += 1) {
    if (bytes[start + index] !== prefix[index]) return false
  }
  return true
}
