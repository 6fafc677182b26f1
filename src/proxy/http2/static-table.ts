/** The static table (RFC 7541, appendix A), in order; its first entry has the index 1. */
const ENTRIES = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...['200', '204', '206', '304', '400', '404', '500'].map(
    (status) => [':status', status] as const,
  ),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...[
    ...[
      'accept-language',
      'accept-ranges',
      'accept',
      'access-control-allow-origin',
      'age',
      'allow',
    ],
    ...['authorization', 'cache-control', 'content-disposition', 'content-encoding'],
    ...['content-language', 'content-length', 'content-location', 'content-range', 'content-type'],
    ...['cookie', 'date', 'etag', 'expect', 'expires', 'from', 'host', 'if-match'],
    ...['if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified'],
    ...['link', 'location', 'max-forwards', 'proxy-authenticate', 'proxy-authorization', 'range'],
    ...['referer', 'refresh', 'retry-after', 'server', 'set-cookie', 'strict-transport-security'],
    ...['transfer-encoding', 'user-agent', 'vary', 'via', 'www-authenticate'],
  ].map((name) => [name, ''] as const),
] as const

export const STATIC_COUNT = 61

/** The octets of all entries: name, then value. */
export const staticBytes: Buffer = Buffer.from(
  ENTRIES.map(([name, value]) => name + value).join(''),
)
/** By index: where its name starts, where the name ends and the value starts, where that ends. */
export const staticOffsets = new Int32Array((STATIC_COUNT + 1) * 3)

let at = 0
for (const [index, [name, value]] of ENTRIES.entries()) {
  staticOffsets.set([at, at + name.length, at + name.length + value.length], (index + 1) * 3)
  at += name.length + value.length
}
if (ENTRIES.length !== STATIC_COUNT) throw new Error('the static table is not whole')

const HASH_START = 7
/** A hash over octets, one after the other, from 7. */
export const hashStep = (hash: number, octet: number): number => (Math.imul(hash, 31) + octet) | 0

const SLOTS = 2048
const slots = new Uint8Array(SLOTS)
/** The last entry of a name wins no place: the first one is found. */
for (let index = STATIC_COUNT; index > 0; index -= 1) {
  const start = staticOffsets[index * 3] as number
  const end = staticOffsets[index * 3 + 1] as number
  slots[slotOf(staticBytes.subarray(start, end).reduce(hashStep, HASH_START))] = index
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 11)) & (SLOTS - 1)
}

/** The entry of the static table with the name bytes[start, end), in lower case, whose hash it is; 0: none. HOT. */
export function staticIndexOf(bytes: Uint8Array, start: number, end: number, hash: number): number {
  const index = slots[slotOf(hash)] as number
  if (index === 0) return 0
  const from = staticOffsets[index * 3] as number
  if ((staticOffsets[index * 3 + 1] as number) - from !== end - start) return 0
  for (let octet = 0; octet < end - start; octet += 1) {
    if (staticBytes[from + octet] !== bytes[start + octet]) return 0
  }
  return index
}

export { HASH_START }
