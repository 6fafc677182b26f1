const SSL_REQUEST = 80_877_103
const GSS_REQUEST = 80_877_104
const CANCEL_REQUEST = 80_877_102
const REQUEST_BYTES = 8
const PROTOCOL_MAJOR = 3

/** `more`: not yet known. `plain`: it asks for no encryption. `bad`: this is no client of PostgreSQL. */
export type PostgresStart = 'more' | 'ssl' | 'gss' | 'plain' | 'bad'

/**
 * What the first message of a PostgreSQL client asks for: a length and a code, 32 bits each.
 * Source: PostgreSQL documentation, "Message Formats": SSLRequest, GSSENCRequest, CancelRequest, StartupMessage.
 */
export function readPostgresStart(bytes: Buffer): PostgresStart {
  if (bytes.length < REQUEST_BYTES) return 'more'
  const [length, code] = [bytes.readUInt32BE(0), bytes.readUInt32BE(4)]
  if (length === REQUEST_BYTES && code === SSL_REQUEST) return 'ssl'
  if (length === REQUEST_BYTES && code === GSS_REQUEST) return 'gss'
  const isStart = code >>> 16 === PROTOCOL_MAJOR || code === CANCEL_REQUEST
  return isStart && length > REQUEST_BYTES ? 'plain' : 'bad'
}
