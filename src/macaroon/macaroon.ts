import { decodeText } from './byte-text.ts'
import type { Caveat } from './caveat.ts'
import { readCaveat } from './caveat-set.ts'
import { malformed, overLimit } from './errors.ts'
import { TOKEN_BYTES_MAX } from './limits.ts'
import { type Nonce, readNonce } from './nonce.ts'
import { WireReader } from './wire-reader.ts'
import { WireWriter } from './wire-writer.ts'

/**
 * One token, immutable: attenuating makes another. On the wire
 *
 *   94  nonce  str(location)  [number, body, number, body, ...]  bin(tail)
 *
 * Nonce and caveats are signed; location, the caveat array's header and everything else is not.
 * Source: superfly/macaroon.
 */
export interface Macaroon {
  readonly nonce: Nonce
  /** Who issued it, and so what it is for. Not signed: it decides roles, never rights. */
  readonly location: string
  readonly caveats: readonly Caveat[]
  /** `packed[i]` are the signed bytes of `caveats[i]`. */
  readonly packed: readonly Uint8Array[]
  /** The last link of the chain; finalised in a proof. */
  readonly tail: Uint8Array
}

/**
 * Decodes one token. What is signed must be written exactly as the encoder writes it; around it the
 * original's leniency is kept: text for bytes, long headers, nil caveats, bytes after the token.
 *
 * @throws MacaroonError macaroon.malformed, macaroon.truncated, macaroon.over_limit
 */
export function decodeMacaroon(bytes: Uint8Array): Macaroon {
  if (bytes.length > TOKEN_BYTES_MAX) {
    throw overLimit('token is too long', { limit: TOKEN_BYTES_MAX, got: bytes.length })
  }
  const reader = new WireReader(new Uint8Array(bytes)) // a copy: the token keeps views
  const fields = reader.readLooseArrayHeader()
  if (fields !== 4) throw malformed('token has the wrong number of fields', { expected: 4, fields })
  const nonce = readNonce(reader)
  const location = decodeText(reader.readLooseBytes())
  const elements = reader.readLooseArrayHeader()
  if (elements % 2 === 1) throw malformed('bad caveat container', { elements })
  reader.countCaveats(elements / 2)
  const caveats: Caveat[] = []
  const packed: Uint8Array[] = []
  for (let left = elements; left > 0; left -= 2) {
    const start = reader.offset
    caveats.push(readCaveat(reader))
    packed.push(reader.since(start))
  }
  return { nonce, location, caveats, packed, tail: reader.readLooseBytes() }
}

/** The canonical bytes. Of a decoded token: those it had, but for what decoding was lenient with. */
export function encodeMacaroon({ nonce, location, packed, tail }: Macaroon): Buffer {
  const writer = new WireWriter()
  writer.writeArrayHeader(4)
  writer.writeRaw(nonce.packed)
  writer.writeText(location)
  writer.writeArrayHeader(2 * packed.length)
  for (const one of packed) writer.writeRaw(one)
  writer.writeBytes(tail)
  return writer.finish()
}

/** `fm2_` and padded base64, the form in which tokens travel. */
export function printMacaroon(macaroon: Macaroon): string {
  return `fm2_${encodeMacaroon(macaroon).toString('base64')}`
}

/** An upper bound of what `encodeMacaroon` gives, without encoding. */
export function encodedBytesMax({ nonce, location, packed, tail }: Macaroon): number {
  const signedBytes = packed.reduce((sum, one) => sum + one.length, nonce.packed.length)
  return signedBytes + 3 * location.length + tail.length + 4 * HEADER_BYTES_MAX
}

/** The longest header of a MessagePack value. */
const HEADER_BYTES_MAX = 5
