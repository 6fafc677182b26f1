import { hash } from 'node:crypto'
import { malformed } from './errors.ts'
import type { WireReader } from './wire-reader.ts'
import { WireWriter } from './wire-writer.ts'

/**
 * What a token's chain begins with. It stays when the token is attenuated, so all descendants share
 * one id, and revoking that id revokes them all.
 *
 *   93 bin(key id) bin(16 random bytes) bool(proof)    current
 *   92 bin(key id) bin(16 random bytes)                legacy: never a proof
 */
export interface Nonce {
  /** Names the signing key; in a discharge it is the whole ticket. */
  readonly kid: Uint8Array
  readonly random: Uint8Array
  /** A discharge whose tail is finalised, so that nobody can add to it. */
  readonly isProof: boolean
  /** The signed bytes. */
  readonly packed: Uint8Array
}

export const NONCE_RANDOM_BYTES = 16

export function makeNonce(kid: Uint8Array, random: Uint8Array, isProof: boolean): Nonce {
  const writer = new WireWriter()
  writer.writeArrayHeader(3)
  writer.writeBytes(kid)
  writer.writeBytes(random)
  writer.writeBoolean(isProof)
  return { kid, random, isProof, packed: writer.finish() }
}

/** Random parts of another length than 16 are refused: nobody makes them. */
export function readNonce(reader: WireReader): Nonce {
  const start = reader.offset
  const fields = reader.readArrayHeader()
  if (fields !== 2 && fields !== 3) throw malformed(`unknown nonce format: ${fields} fields`)
  const kid = reader.readBytes()
  const random = reader.readBytes()
  if (random.length !== NONCE_RANDOM_BYTES) {
    throw malformed('nonce has the wrong number of random bytes', { bytes: random.length })
  }
  const isProof = fields === 3 && reader.readBoolean()
  return { kid, random, isProof, packed: reader.since(start) }
}

const NAMESPACE = Buffer.from('968fc2c6a94f4988a5442ad72b02f222', 'hex')

/** The id of a token and of all its descendants, as lists and revocations show it. */
export function tokenUuid({ kid, random }: Nonce): string {
  const hex = uuidV5(uuidV5(NAMESPACE, kid), random).toString('hex')
  return [8, 4, 4, 4, 12]
    .map((length, group) => hex.slice(groupStarts[group], (groupStarts[group] ?? 0) + length))
    .join('-')
}

const groupStarts = [0, 8, 12, 16, 20]

/** RFC 9562, section 5.5. */
function uuidV5(namespace: Uint8Array, name: Uint8Array): Buffer {
  const bytes = hash('sha1', Buffer.concat([namespace, name]), 'buffer').subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes
}
