import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { Random } from '#base'
import { MacaroonError } from './errors.ts'

/**
 * Sealed bytes: a random nonce, then ChaCha20-Poly1305 of the plaintext with its tag, without
 * additional data; the key is used as it is. Source: RFC 8439, section 2.8.
 *
 *   offset  size  field
 *   0       12    nonce
 *   12      n     ciphertext
 *   12+n    16    tag
 */
export const SEAL_KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'chacha20-poly1305'

/** @throws MacaroonError macaroon.bad_key */
export function seal(key: Uint8Array, plaintext: Uint8Array, random: Random): Buffer {
  checkSealKey(key)
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** The plaintext, or why there is none, in the words of the original. */
export type Unsealed =
  | { readonly ok: true; readonly plaintext: Buffer }
  | { readonly ok: false; readonly why: string }

/** @throws MacaroonError macaroon.bad_key: ours to check, not the sender's. */
export function unseal(key: Uint8Array, sealed: Uint8Array): Unsealed {
  checkSealKey(key)
  if (sealed.length <= NONCE_BYTES) return { ok: false, why: 'unseal: malformed input' }
  const failed = { ok: false, why: 'chacha20poly1305: message authentication failed' } as const
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return failed
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  const plaintext = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES))
  try {
    decipher.final()
  } catch {
    return failed // final() fails for a wrong tag only
  }
  return { ok: true, plaintext }
}

export function checkSealKey(key: Uint8Array): void {
  if (key.length === SEAL_KEY_BYTES) return
  throw new MacaroonError('macaroon.bad_key', {
    what: `bad key size: have ${key.length}, need ${SEAL_KEY_BYTES}`,
    fix: `a key that is shared with a third party has exactly ${SEAL_KEY_BYTES} bytes`,
  })
}
