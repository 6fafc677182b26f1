import { createCipheriv, createDecipheriv } from 'node:crypto'

const NONCE_BYTES = 24
const TAG_BYTES = 16
const BLOCK_BYTES = 16

/**
 * XAES-256-GCM: AES-256-GCM under a key that is derived from the first half of a 24-byte nonce, which may
 * therefore be random for any number of messages. Source: C2SP, XAES-256-GCM.
 *
 * @returns ciphertext and tag
 */
export function sealXaes(key: Uint8Array, nonce: Uint8Array, text: Uint8Array, aad: Uint8Array) {
  const cipher = createCipheriv('aes-256-gcm', derive(key, nonce), nonce.subarray(12))
  cipher.setAAD(aad)
  return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()])
}

/** @throws Error: it was changed, or is of another key, nonce or `aad` */
export function openXaes(key: Uint8Array, nonce: Uint8Array, box: Uint8Array, aad: Uint8Array) {
  if (nonce.length !== NONCE_BYTES || box.length < TAG_BYTES) throw new RangeError('too short')
  const options = { authTagLength: TAG_BYTES }
  const decipher = createDecipheriv('aes-256-gcm', derive(key, nonce), nonce.subarray(12), options)
  decipher.setAAD(aad)
  decipher.setAuthTag(box.subarray(-TAG_BYTES))
  return Buffer.concat([decipher.update(box.subarray(0, -TAG_BYTES)), decipher.final()])
}

/** CMAC of two blocks, the subkey of NIST SP 800-38B folded into each. */
function derive(key: Uint8Array, nonce: Uint8Array): Buffer {
  const subkey = doubled(encryptBlocks(key, Buffer.alloc(BLOCK_BYTES)))
  const blocks = [1, 2].map((counter) => {
    const block = Buffer.concat([Buffer.from([0, counter, 0x58, 0]), nonce.subarray(0, 12)])
    return block.map((byte, at) => byte ^ (subkey[at] ?? 0))
  })
  return encryptBlocks(key, Buffer.concat(blocks))
}

function encryptBlocks(key: Uint8Array, blocks: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  return Buffer.concat([cipher.update(blocks), cipher.final()])
}

/** Times x in GF(2^128). */
function doubled(block: Buffer): Buffer {
  const shifted = block.map((byte, at) => ((byte << 1) | ((block[at + 1] ?? 0) >> 7)) & 0xff)
  const last = BLOCK_BYTES - 1
  if ((block[0] ?? 0) & 0x80) shifted[last] = (shifted[last] ?? 0) ^ 0x87
  return Buffer.from(shifted)
}
