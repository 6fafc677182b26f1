import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import { fc } from '#property'
import { parseActorId } from '../changes/actor-id.ts'
import type { Changeset, FullChangeset } from '../changes/changeset.ts'
import { decodeBroadcast, encodeBroadcast } from './broadcast.ts'
import { ByteWriter } from './byte-writer.ts'
import { writeChange } from './changeset-codec.ts'
import { WireError } from './errors.ts'
import { FRAME_BYTES_MAX, FRAME_HEAD_BYTES } from './frame.ts'
import {
  decodeSyncMessage,
  decodeSyncStart,
  encodeSyncMessage,
  encodeSyncStart,
} from './sync-message.ts'
import { changesets, fullChangesets, mutated, syncMessages } from './wire-arbitraries.ts'

interface Recorded {
  readonly what: string
  readonly hex: string
}
const recorded: { [part: string]: readonly Recorded[] } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/corrosion/wire.json', import.meta.url), 'utf8'),
)
const broadcastFrames = recorded['broadcast_frames_on_uni_streams'] ?? []
const syncFrames = recorded['sync_frames_on_bi_streams'] ?? []

const payloadOf = (hex: string) => Buffer.from(hex, 'hex').subarray(FRAME_HEAD_BYTES)
const ones = parseActorId('11'.repeat(16))

/** Only a WireError may leave a decoder. */
function survives(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    decode(bytes)
  } catch (error) {
    if (!(error instanceof WireError)) throw error
  }
}

function refuses(code: string, run: () => unknown): void {
  assert.throws(run, (error) => error instanceof WireError && error.code === code)
}

for (const { what, hex } of broadcastFrames) {
  test(`a recorded broadcast is read and written byte for byte: ${what}`, () => {
    const { changeset, clusterId } = decodeBroadcast(payloadOf(hex))
    assert(changeset !== null)
    assert.equal(encodeBroadcast(changeset, clusterId).toString('hex'), hex)
  })
}

for (const { what, hex } of syncFrames) {
  test(`a recorded sync frame is read and written byte for byte: ${what}, ${hex.length / 2} bytes`, () => {
    if (what.startsWith('SyncStart')) {
      assert.equal(encodeSyncStart(decodeSyncStart(payloadOf(hex))).toString('hex'), hex)
      return
    }
    const message = decodeSyncMessage(payloadOf(hex))
    assert(message !== null)
    assert.equal(encodeSyncMessage(message).toString('hex'), hex)
  })
}

test('the frames that the format describes come out as described', () => {
  const changeset: FullChangeset = {
    kind: 'full',
    actor: ones,
    version: 1,
    tables: [
      {
        table: 'tests',
        rows: [
          {
            pk: Buffer.from('010901', 'hex'),
            columns: [{ cid: 'text', val: 'hi', colVersion: 1, seq: 0, cl: 1 }],
          },
        ],
      },
    ],
    seqs: { start: 0, end: 0 },
    lastSeq: 0,
    ts: 0x0123456789abcdf0n,
  }
  const one = '0100000000000000'
  const zero = '0000000000000000'
  assert.equal(
    encodeBroadcast(changeset, 0).toString('hex'),
    `0000009d000000000000000000000000${ones}03000000${ones}${one}01000000050000007465737473` +
      `01000000030000000109010100000004000000746578740302000000` +
      `6869${one}${zero}${one}${zero}${zero}${zero}f0cdab89674523010000`,
  )
  const start = {
    actor: ones,
    clusterId: 0,
    supportsCompression: false,
    traceparent: null,
    tracestate: null,
  }
  assert.equal(encodeSyncStart(start).toString('hex'), `0000001d0000000000000000${ones}0000000000`)
  assert.equal(
    encodeSyncMessage({ kind: 'clock', ts: 0x0123456789abcdf0n }).toString('hex'),
    '000000100000000002000000f0cdab8967452301',
  )
  assert.equal(
    encodeSyncMessage({ kind: 'rejection', reason: 'maxConcurrency' }).toString('hex'),
    '0000000c000000000300000000000000',
  )
})

test('a changeset survives encode and decode', () => {
  const clusters = fc.integer({ min: 0, max: 65_535 })
  fc.assert(
    fc.property(changesets, clusters, (changeset, clusterId) => {
      const payload = encodeBroadcast(changeset, clusterId).subarray(FRAME_HEAD_BYTES)
      assert.deepEqual(decodeBroadcast(payload), { clusterId, changeset })
    }),
  )
})

test('a sync message survives encode and decode', () => {
  fc.assert(
    fc.property(syncMessages, (message) => {
      const payload = encodeSyncMessage(message).subarray(FRAME_HEAD_BYTES)
      assert.deepEqual(decodeSyncMessage(payload), message)
    }),
  )
})

test('what was decoded keeps nothing of the bytes it came from', () => {
  fc.assert(
    fc.property(fullChangesets, (changeset) => {
      const payload = encodeBroadcast(changeset, 0).subarray(FRAME_HEAD_BYTES)
      const decoded = decodeBroadcast(payload)
      payload.fill(0xee)
      assert.deepEqual(decoded.changeset, changeset)
    }),
    { numRuns: 50 },
  )
})

test('any bytes, and any damage to valid ones, give a message or a WireError', () => {
  const valid = fc.oneof(
    changesets.map((changeset) => encodeBroadcast(changeset, 7)),
    syncMessages.map(encodeSyncMessage),
    fc.constantFrom(...broadcastFrames, ...syncFrames).map(({ hex }) => Buffer.from(hex, 'hex')),
  )
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    mutated(valid.map((frame) => frame.subarray(FRAME_HEAD_BYTES))),
  )
  fc.assert(
    fc.property(bytes, (payload) => {
      survives(decodeBroadcast, payload)
      survives(decodeSyncMessage, payload)
      survives(decodeSyncStart, payload)
    }),
    { numRuns: 3000 },
  )
})

test('a message cut anywhere is refused, or is one that an older peer may send', () => {
  for (const { hex } of broadcastFrames) {
    const payload = payloadOf(hex)
    for (let bytes = 0; bytes < payload.length - 2; bytes += 1) {
      refuses('wire.malformed', () => decodeBroadcast(payload.subarray(0, bytes)))
    }
    const older = decodeBroadcast(payload.subarray(0, -2))
    assert.deepEqual(older, decodeBroadcast(payload))
  }
})

test('a start of sync without its last fields is one of an older peer', () => {
  const start = {
    actor: ones,
    clusterId: 9,
    supportsCompression: true,
    traceparent: '00-ab-cd-01',
    tracestate: null,
  }
  const payload = encodeSyncStart(start).subarray(FRAME_HEAD_BYTES)
  assert.deepEqual(decodeSyncStart(payload), start)
  const older = { ...start, supportsCompression: false }
  assert.deepEqual(decodeSyncStart(payload.subarray(0, -1)), older)
  assert.deepEqual(decodeSyncStart(payload.subarray(0, -3)), { ...older, clusterId: 0 })
  const oldest = { ...older, clusterId: 0, traceparent: null }
  assert.deepEqual(decodeSyncStart(payload.subarray(0, 24)), oldest)
})

test('text that is not UTF-8 is refused, text that is travels as it is', () => {
  const of = (val: string): FullChangeset => ({
    kind: 'full',
    actor: ones,
    version: 1,
    tables: [
      {
        table: 't',
        rows: [
          { pk: Uint8Array.of(0), columns: [{ cid: 'c', val, colVersion: 1, seq: 0, cl: 1 }] },
        ],
      },
    ],
    seqs: { start: 0, end: 0 },
    lastSeq: 0,
    ts: 0n,
  })
  for (const text of ['', '\uFEFFa', '\uFFFD', 'ÿ', '😀'.repeat(20), '\0']) {
    const { changeset } = decodeBroadcast(encodeBroadcast(of(text), 0).subarray(4))
    assert.deepEqual(changeset, of(text))
  }
  for (const marker of ['X', 'X'.repeat(40)]) {
    const payload = encodeBroadcast(of(marker), 0).subarray(4)
    payload[payload.indexOf('X')] = 0xff
    refuses('wire.malformed', () => decodeBroadcast(payload))
  }
})

/** A broadcast of one change, written by hand so that its fields can lie. */
function handmade(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter(1024)
  for (const word of [0, 0, 0]) writer.u32(word)
  writer.actor(ones)
  write(writer)
  return writer.take()
}

test('numbers beyond 2^53, ranges that run backwards and lists that cannot be there are refused', () => {
  const empty = (start: bigint, end: bigint) =>
    handmade((writer) => {
      writer.u32(0)
      writer.bigU64(start)
      writer.bigU64(end)
      writer.u8(0)
    })
  assert.notEqual(decodeBroadcast(empty(1n, 2n ** 53n - 1n)).changeset, null)
  refuses('wire.malformed', () => decodeBroadcast(empty(1n, 2n ** 53n)))
  refuses('wire.malformed', () => decodeBroadcast(empty(1n, 2n ** 64n - 1n)))
  refuses('wire.malformed', () => decodeBroadcast(empty(2n, 1n)))
  const manyRanges = handmade((writer) => {
    writer.u32(2)
    writer.u32(0xffffffff)
  })
  refuses('wire.malformed', () => decodeBroadcast(manyRanges))
})

test('a set of empty versions takes no effect, and is no error', () => {
  const payload = handmade((writer) => {
    writer.u32(2)
    writer.u32(1)
    writer.u64(1)
    writer.u64(2)
    writer.bigU64(5n)
  })
  assert.deepEqual(decodeBroadcast(payload), { clusterId: 0, changeset: null })
})

test('the flat list of an older sender is read by table and row', () => {
  const payload = handmade((writer) => {
    writer.u32(1)
    writer.u64(3) // version
    writer.u32(3)
    for (const [pk, cid, seq] of [
      [1, 'a', 0],
      [2, 'a', 1],
      [1, 'b', 2],
    ] as const) {
      writer.text('t')
      writer.blob(Buffer.of(1, 9, pk))
      writer.text(cid)
      writer.value(BigInt(seq))
      writer.u64(1)
      writer.u64(3)
      writer.u64(seq)
      writer.actor(ones)
      writer.u64(1)
    }
    writer.u64(0)
    writer.u64(2)
    writer.u64(2)
    writer.bigU64(77n)
  })
  const column = (cid: string, seq: number) => ({
    cid,
    val: BigInt(seq),
    colVersion: 1,
    seq,
    cl: 1,
  })
  assert.deepEqual(decodeBroadcast(payload).changeset, {
    kind: 'full',
    actor: ones,
    version: 3,
    tables: [
      {
        table: 't',
        rows: [
          { pk: Uint8Array.of(1, 9, 1), columns: [column('a', 0), column('b', 2)] },
          { pk: Uint8Array.of(1, 9, 2), columns: [column('a', 1)] },
        ],
      },
    ],
    seqs: { start: 0, end: 2 },
    lastSeq: 2,
    ts: 77n,
  })
})

function compressed(changeset: Changeset, padding = 0): Buffer {
  const inner = new ByteWriter(1024)
  writeChange(inner, changeset)
  const writer = new ByteWriter(1024)
  for (const word of [0, 0, 1]) writer.u32(word)
  writer.blob(zstdCompressSync(Buffer.concat([inner.take(), Buffer.alloc(padding)])))
  return writer.take()
}

test('a compressed change is read, and a bomb is refused at the size of a frame', () => {
  fc.assert(
    fc.property(changesets, (changeset) => {
      assert.deepEqual(decodeBroadcast(compressed(changeset)).changeset, changeset)
    }),
    { numRuns: 20 },
  )
  const bomb = compressed(
    { kind: 'empty', actor: ones, versions: { start: 1, end: 1 }, ts: 1n },
    FRAME_BYTES_MAX,
  )
  refuses('wire.malformed', () => decodeBroadcast(bomb))
})

test('messages of the Plumtree mode are refused as unsupported', () => {
  refuses('wire.unsupported', () => decodeBroadcast(Buffer.from('0000000001000000', 'hex')))
})

test('numbers of ours that do not fit are refused before they are written', () => {
  const changeset: Changeset = {
    kind: 'empty',
    actor: ones,
    versions: { start: -1, end: 1 },
    ts: 0n,
  }
  refuses('wire.unencodable', () => encodeBroadcast(changeset, 0))
  refuses('wire.unencodable', () => encodeSyncMessage({ kind: 'clock', ts: 2n ** 64n }))
})
