import { createHmac, hash, timingSafeEqual } from 'node:crypto'

// HOT: runs once per caveat of every token; the one-shot `hash` to a latin1 string is the fastest
// call that node:crypto has for short messages (a third of createHmac), hence the two halves here.

const BLOCK_BYTES = 64
export const MAC_BYTES = 32
/** Longer messages go through createHmac, where the set-up no longer counts. */
const SHORT_MESSAGE_BYTES_MAX = 1024
const SINGLE_CAVEAT_SET = 0x92

const inner = Buffer.alloc(BLOCK_BYTES + 1 + SHORT_MESSAGE_BYTES_MAX)
const outer = Buffer.alloc(BLOCK_BYTES + MAC_BYTES)

/** HMAC-SHA256 (RFC 2104). The key may have any length. @returns 32 bytes of the caller's. */
export function hmacSha256(key: Uint8Array, message: Uint8Array): Buffer {
  if (key.length > BLOCK_BYTES || message.length > SHORT_MESSAGE_BYTES_MAX) {
    return createHmac('sha256', key).update(message).digest()
  }
  inner.set(message, BLOCK_BYTES)
  return macOfInner(key, BLOCK_BYTES + message.length)
}

/** HMAC over a set of one caveat: `92`, then the packed caveat. */
export function hmacCaveat(key: Uint8Array, packed: Uint8Array): Buffer {
  if (key.length > BLOCK_BYTES || packed.length > SHORT_MESSAGE_BYTES_MAX) {
    return createHmac('sha256', key).update(Buffer.of(SINGLE_CAVEAT_SET)).update(packed).digest()
  }
  inner[BLOCK_BYTES] = SINGLE_CAVEAT_SET
  inner.set(packed, BLOCK_BYTES + 1)
  return macOfInner(key, BLOCK_BYTES + 1 + packed.length)
}

function macOfInner(key: Uint8Array, innerLength: number): Buffer {
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    const byte = at < key.length ? (key[at] ?? 0) : 0
    inner[at] = byte ^ 0x36
    outer[at] = byte ^ 0x5c
  }
  outer.write(hash('sha256', inner.subarray(0, innerLength), 'latin1'), BLOCK_BYTES, 'latin1')
  const mac = Buffer.allocUnsafe(MAC_BYTES)
  mac.write(hash('sha256', outer, 'latin1'), 0, 'latin1')
  return mac
}

export function sha256(message: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', message, 'latin1'), 'latin1')
}

/** Constant time for equal lengths; lengths are no secret. */
export function equalSecrets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
