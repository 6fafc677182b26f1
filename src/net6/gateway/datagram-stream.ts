/**
 * WireGuard's datagrams in a stream, as flyctl sends them through a WebSocket: four bytes that say so, from the client
 * alone; then each datagram behind its length, four bytes, big-endian. A length of 0 keeps the way open.
 */
import { Net6Error } from '../errors.ts'

export const STREAM_MAGIC = 0x2facec77
export const DATAGRAM_BYTES_MAX = 2_000
const LENGTH_BYTES = 4

/** One end's reader. Pieces may end anywhere. */
export class DatagramReader {
  #rest: Buffer = Buffer.alloc(0)
  #hasBegun: boolean

  /** @param awaitsMagic at the server's end */
  constructor({ awaitsMagic }: { readonly awaitsMagic: boolean }) {
    this.#hasBegun = !awaitsMagic
  }

  /** The datagrams that are whole now. @throws Net6Error net6.stream_bad: another protocol; close the stream */
  push(piece: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    const datagrams: Buffer[] = []
    while (this.#rest.length >= LENGTH_BYTES) {
      const word = this.#rest.readUInt32BE()
      if (!this.#hasBegun) {
        if (word !== STREAM_MAGIC) throw bad('it does not begin as it should', word)
        this.#hasBegun = true
        this.#rest = this.#rest.subarray(LENGTH_BYTES)
        continue
      }
      if (word > DATAGRAM_BYTES_MAX) throw bad('a datagram is too long', word)
      if (this.#rest.length < LENGTH_BYTES + word) break
      const end = LENGTH_BYTES + word
      if (word > 0) datagrams.push(this.#rest.subarray(LENGTH_BYTES, end))
      this.#rest = this.#rest.subarray(end)
    }
    return datagrams
  }
}

export function datagramFrame(datagram: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + datagram.length)
  frame.writeUInt32BE(datagram.length)
  datagram.copy(frame, LENGTH_BYTES)
  return frame
}

const bad = (why: string, word: number) =>
  new Net6Error('net6.stream_bad', {
    what: 'a stream of datagrams makes no sense',
    values: { why, word: word.toString(16) },
  })
