import type { Quiche } from '@matrixai/quic/native/quiche.js'
import type { Connection } from '@matrixai/quic/native/types.js'

/** quiche copies out of it at once, so that all streams share it. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)
const EMPTY = new Uint8Array()

/**
 * How many of the bytes the stream took: all, or what its windows allow.
 * @throws what quiche throws: the peer stopped the stream.
 */
export function writeStream(connection: Connection, id: number, bytes: Uint8Array): number {
  const taken = connection.streamSend(id, bytes, false) ?? 0
  // For a stream that is gone quiche takes nothing, and only this call says why.
  if (taken === 0 && bytes.length > 0) connection.streamCapacity(id)
  return taken
}

/** So that the stream is there before anything is written. */
export function createStream(connection: Connection, id: number): void {
  connection.streamSend(id, EMPTY, false)
}

/** @throws what quiche throws: the peer stopped the stream. */
export function endStream(connection: Connection, id: number): void {
  connection.streamSend(id, EMPTY, true)
}

/** What has come, a copy; undefined: nothing now. @throws what quiche throws: the peer reset the stream. */
export function readStream(
  connection: Connection,
  id: number,
): { readonly chunk: Buffer; readonly isEnd: boolean } | undefined {
  const read = connection.streamRecv(id, readBuffer)
  if (read === null) return undefined
  const [length, isEnd] = read
  return { chunk: Buffer.from(readBuffer.subarray(0, length)), isEnd }
}

/** Neither reads nor writes it any more, and tells the peer. */
export function abandonStream(quiche: Quiche, connection: Connection, id: number): void {
  for (const side of [quiche.Shutdown.Read, quiche.Shutdown.Write]) {
    try {
      connection.streamShutdown(id, side, 0)
    } catch {
      // The stream is gone, or never had this side: as it should be.
    }
  }
}
