import type { ActorId } from '../changes/actor-id.ts'
import type { Changeset } from '../changes/changeset.ts'
import type { Range } from '../changes/range-set.ts'
import type { ActorNeeds, Need, SyncState } from '../changes/sync-state.ts'
import { readCompressedChange, takeFrame } from './broadcast.ts'
import { ByteReader } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'
import { readChange, writeChange } from './changeset-codec.ts'
import { FRAME_BYTES_MAX } from './frame.ts'

/** The first frame of whoever opens a sync session (BiPayload of Corrosion). */
export interface SyncStart {
  readonly actor: ActorId
  readonly clusterId: number
  /** The sender can read compressed changesets. */
  readonly supportsCompression: boolean
  /** W3C trace context, null when there is none. */
  readonly traceparent: string | null
  readonly tracestate: string | null
}

export type RejectionReason = 'maxConcurrency' | 'otherCluster'

export type SyncMessage =
  | { readonly kind: 'state'; readonly state: SyncState }
  | { readonly kind: 'changeset'; readonly changeset: Changeset }
  /** Hybrid logical clock, NTP64. */
  | { readonly kind: 'clock'; readonly ts: bigint }
  | { readonly kind: 'rejection'; readonly reason: RejectionReason }
  | { readonly kind: 'request'; readonly needs: readonly ActorNeeds[] }

const V1 = 0
const SYNC_START = 0
// biome-ignore format: a table
const Tag = { state: 0, changeset: 1, clock: 2, rejection: 3, request: 4, compressedChangeset: 5 } as const
const NeedTag = { full: 0, partial: 1, empty: 2 } as const
const rejections: readonly RejectionReason[] = ['maxConcurrency', 'otherCluster']

/** What items of the lists take at least. */
const HEAD_BYTES = 24
const ACTOR_LIST_BYTES_MIN = 20
const PARTIAL_BYTES_MIN = 12
const NEED_BYTES_MIN = 5

const writer = new ByteWriter(FRAME_BYTES_MAX)

/** The whole frame, its length in front. */
export function encodeSyncStart(start: SyncStart): Buffer {
  writer.start()
  writer.u32(0)
  writer.u32(V1)
  writer.u32(SYNC_START)
  writer.actor(start.actor)
  writeOptionalText(start.traceparent)
  writeOptionalText(start.tracestate)
  writer.u16(start.clusterId)
  writer.u8(start.supportsCompression ? 1 : 0)
  return takeFrame(writer)
}

/** What older peers leave out at the end is none, 0 or false. @throws WireError wire.malformed */
export function decodeSyncStart(payload: Uint8Array): SyncStart {
  const reader = new ByteReader(payload)
  if (reader.u32() !== V1) throw reader.bad('its version is unknown')
  if (reader.u32() !== SYNC_START) throw reader.bad('it does not start a sync')
  const actor = reader.actor()
  const traceparent = reader.left === 0 ? null : readOptionalText(reader)
  const tracestate = reader.left === 0 ? null : readOptionalText(reader)
  const clusterId = reader.left === 0 ? 0 : reader.u16()
  const supportsCompression = reader.left === 0 ? false : reader.bool()
  reader.end()
  return { actor, clusterId, supportsCompression, traceparent, tracestate }
}

function writeOptionalText(text: string | null): void {
  writer.u8(text === null ? 0 : 1)
  if (text !== null) writer.text(text)
}

function readOptionalText(reader: ByteReader): string | null {
  return reader.bool() ? reader.text() : null
}

/** The whole frame, its length in front. @throws WireError wire.unencodable */
export function encodeSyncMessage(message: SyncMessage): Buffer {
  writer.start()
  writer.u32(0)
  writer.u32(V1)
  writer.u32(Tag[message.kind])
  switch (message.kind) {
    case 'state':
      writeState(message.state)
      break
    case 'changeset':
      writeChange(writer, message.changeset)
      break
    case 'clock':
      writer.bigU64(message.ts)
      break
    case 'rejection':
      writer.u32(rejections.indexOf(message.reason))
      break
    case 'request':
      writeNeeds(message.needs)
      break
  }
  return takeFrame(writer)
}

/** null: a changeset of a kind that takes no effect. @throws WireError wire.malformed */
export function decodeSyncMessage(payload: Uint8Array): SyncMessage | null {
  const reader = new ByteReader(payload)
  if (reader.u32() !== V1) throw reader.bad('its version is unknown')
  const message = readMessage(reader)
  reader.end()
  return message
}

function readMessage(reader: ByteReader): SyncMessage | null {
  switch (reader.u32()) {
    case Tag.state:
      return { kind: 'state', state: readState(reader) }
    case Tag.changeset:
      return changesetOf(readChange(reader))
    case Tag.clock:
      return { kind: 'clock', ts: reader.bigU64() }
    case Tag.rejection:
      return { kind: 'rejection', reason: readRejection(reader) }
    case Tag.request:
      return { kind: 'request', needs: readNeeds(reader) }
    case Tag.compressedChangeset:
      return changesetOf(readCompressedChange(reader.view()))
    default:
      throw reader.bad('a sync message has no known kind')
  }
}

function changesetOf(changeset: Changeset | null): SyncMessage | null {
  return changeset === null ? null : { kind: 'changeset', changeset }
}

function readRejection(reader: ByteReader): RejectionReason {
  const reason = rejections[reader.u32()]
  if (reason === undefined) throw reader.bad('a rejection has no known reason')
  return reason
}

function writeState({ actor, heads, need, partialNeed }: SyncState): void {
  writer.actor(actor)
  writer.u32(heads.size)
  for (const [of, head] of heads) {
    writer.actor(of)
    writer.u64(head)
  }
  writer.u32(need.size)
  for (const [of, versions] of need) {
    writer.actor(of)
    writeRanges(versions)
  }
  writer.u32(partialNeed.size)
  for (const [of, partials] of partialNeed) {
    writer.actor(of)
    writer.u32(partials.size)
    for (const [version, seqs] of partials) {
      writer.u64(version)
      writeRanges(seqs)
    }
  }
  writer.u8(0) // the time of the last clearing, which nobody tells any more
}

function readState(reader: ByteReader): SyncState {
  const actor = reader.actor()
  const heads = new Map<ActorId, number>()
  for (let left = reader.count(HEAD_BYTES); left > 0; left -= 1) {
    heads.set(reader.actor(), reader.u64())
  }
  const need = new Map<ActorId, Range[]>()
  for (let left = reader.count(ACTOR_LIST_BYTES_MIN); left > 0; left -= 1) {
    need.set(reader.actor(), reader.ranges())
  }
  const partialNeed = new Map<ActorId, Map<number, Range[]>>()
  for (let left = reader.count(ACTOR_LIST_BYTES_MIN); left > 0; left -= 1) {
    partialNeed.set(reader.actor(), readPartials(reader))
  }
  if (reader.left > 0 && reader.bool()) reader.bigU64()
  return { actor, heads, need, partialNeed }
}

function readPartials(reader: ByteReader): Map<number, Range[]> {
  const partials = new Map<number, Range[]>()
  for (let left = reader.count(PARTIAL_BYTES_MIN); left > 0; left -= 1) {
    partials.set(reader.u64(), reader.ranges())
  }
  return partials
}

function writeRanges(ranges: readonly Range[]): void {
  writer.u32(ranges.length)
  for (const { start, end } of ranges) {
    writer.u64(start)
    writer.u64(end)
  }
}

function writeNeeds(all: readonly ActorNeeds[]): void {
  writer.u32(all.length)
  for (const { actor, needs } of all) {
    writer.actor(actor)
    writer.u32(needs.length)
    for (const need of needs) writeNeed(need)
  }
}

function writeNeed(need: Need): void {
  writer.u32(NeedTag[need.kind])
  if (need.kind === 'full') {
    writer.u64(need.versions.start)
    writer.u64(need.versions.end)
  } else {
    writer.u64(need.version)
    writeRanges(need.seqs)
  }
}

function readNeeds(reader: ByteReader): ActorNeeds[] {
  const all: ActorNeeds[] = []
  for (let left = reader.count(ACTOR_LIST_BYTES_MIN); left > 0; left -= 1) {
    const actor = reader.actor()
    const needs: Need[] = []
    for (let more = reader.count(NEED_BYTES_MIN); more > 0; more -= 1) {
      const need = readNeed(reader)
      if (need !== null) needs.push(need)
    }
    all.push({ actor, needs })
  }
  return all
}

/** null: a kind of need that nobody serves. */
function readNeed(reader: ByteReader): Need | null {
  switch (reader.u32()) {
    case NeedTag.full:
      return { kind: 'full', versions: reader.range() }
    case NeedTag.partial:
      return { kind: 'partial', version: reader.u64(), seqs: reader.ranges() }
    case NeedTag.empty:
      if (reader.bool()) reader.bigU64()
      return null
    default:
      throw reader.bad('a need has no known kind')
  }
}
