import type { Changeset } from '../changes/changeset.ts'
import { ByteReader } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'
import { readChange, writeChange } from './changeset-codec.ts'
import { decompressChange } from './compressed.ts'
import { WireError } from './errors.ts'
import { FRAME_BYTES_MAX, FRAME_HEAD_BYTES } from './frame.ts'

/**
 * The payload of a frame on a uni stream (UniPayload of Corrosion):
 *   u32 0 (V1), u32 0 (broadcast), u32 0 Change or 1 CompressedChange, the change, u16 cluster id
 * A missing cluster id is 0: older senders end before it.
 */
const V1 = 0
const BROADCAST = 0
const PLUMTREE = 1
const Tag = { change: 0, compressedChange: 1 } as const

export interface Broadcast {
  readonly clusterId: number
  /** null: a kind of changeset that takes no effect. */
  readonly changeset: Changeset | null
}

const writer = new ByteWriter(FRAME_BYTES_MAX)

/** The whole frame, its length in front. @throws WireError wire.unencodable */
export function encodeBroadcast(changeset: Changeset, clusterId: number): Buffer {
  writer.start()
  writer.u32(0)
  writer.u32(V1)
  writer.u32(BROADCAST)
  writer.u32(Tag.change)
  writeChange(writer, changeset)
  writer.u16(clusterId)
  return takeFrame(writer)
}

/** What the writer holds, after four bytes that were kept free for its length. */
export function takeFrame(from: ByteWriter): Buffer {
  const payloadBytes = from.length - FRAME_HEAD_BYTES
  if (payloadBytes > FRAME_BYTES_MAX) {
    throw new WireError('wire.unencodable', {
      what: 'a message of ours is too long for a frame',
      values: { bytes: payloadBytes, bytesMax: FRAME_BYTES_MAX },
      fix: 'cut the changeset into smaller parts',
    })
  }
  from.patchU32BigEndian(0, payloadBytes)
  return from.take()
}

/**
 * @param payload without its length; not kept: blobs and texts are copies.
 * @throws WireError wire.malformed, or wire.unsupported for Plumtree's messages.
 */
export function decodeBroadcast(payload: Uint8Array): Broadcast {
  const reader = new ByteReader(payload)
  if (reader.u32() !== V1) throw reader.bad('its version is unknown')
  const family = reader.u32()
  if (family === PLUMTREE) throw plumtree()
  if (family !== BROADCAST) throw reader.bad('it is no broadcast')
  const changeset = readMaybeCompressed(reader)
  const clusterId = reader.left === 0 ? 0 : reader.u16()
  reader.end()
  return { clusterId, changeset }
}

function readMaybeCompressed(reader: ByteReader): Changeset | null {
  const tag = reader.u32()
  if (tag === Tag.change) return readChange(reader)
  if (tag === Tag.compressedChange) return readCompressedChange(reader.view())
  throw reader.bad('a broadcast has no known kind')
}

/** @throws WireError wire.malformed */
export function readCompressedChange(bytes: Uint8Array): Changeset | null {
  const inner = new ByteReader(decompressChange(bytes))
  const changeset = readChange(inner)
  inner.end()
  return changeset
}

function plumtree(): WireError {
  return new WireError('wire.unsupported', {
    what: 'a broadcast is of the Plumtree mode, which this node does not speak',
    fix: 'run the other agents in their default gossip mode',
  })
}
