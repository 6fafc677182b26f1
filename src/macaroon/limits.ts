import assert from 'node:assert/strict'

/**
 * Every bound on what comes from outside. The original format has none; a usual token has 400 to
 * 700 bytes and under ten caveats, so these leave room and still bound the work of one request.
 */

/** One decoded token. */
export const TOKEN_BYTES_MAX = 32 * 1024
/** One `Authorization` value, all its tokens together. */
export const HEADER_CHARS_MAX = 128 * 1024
/** Comma-separated pieces of one header, of any kind. */
export const TOKENS_MAX = 128
/** Caveats of one token, those inside IfPresent included. */
export const CAVEATS_MAX = 512
/** IfPresent in IfPresent, and arrays and maps inside an unknown caveat. */
export const NESTING_MAX = 128
/**
 * Work of verifying one header, in MACs: 20 ms or so. A token's holder can add third-party caveats
 * and discharges that all match each other, whose work is the product of their numbers.
 */
export const WORK_MACS_MAX = 20_000
/** Big-endian bytes of a Google user id; theirs have nine. */
export const GOOGLE_ID_BYTES_MAX = 64
/** JSON that people write: caveats, accesses, exchange messages. */
export const JSON_CHARS_MAX = 256 * 1024

assert(TOKEN_BYTES_MAX * (4 / 3) < HEADER_CHARS_MAX, 'the largest token must fit into a header')
assert(CAVEATS_MAX * 2 < TOKEN_BYTES_MAX, 'the caveat limit must be reachable')
