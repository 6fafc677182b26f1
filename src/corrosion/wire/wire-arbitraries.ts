/** What fast-check draws for the tests of the codecs. */
import { fc } from '#property'
import { type ActorId, parseActorId } from '../changes/actor-id.ts'
import type { Changeset, EmptyChangeset, FullChangeset } from '../changes/changeset.ts'
import type { Range } from '../changes/range-set.ts'
import type { ActorNeeds, SyncState } from '../changes/sync-state.ts'
import type { Identity, Rumour } from '../membership/member.ts'
import { RUMOURS_MAX, type SwimMessage } from '../membership/swim-message.ts'
import { ipv6Text } from './ip-bytes.ts'
import type { SyncMessage } from './sync-message.ts'

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

export const actors: fc.Arbitrary<ActorId> = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => parseActorId(Buffer.from(bytes).toString('hex')))

const counts = fc.oneof(fc.nat(1000), fc.maxSafeNat())
const ts = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const text = fc.string({ unit: 'binary', maxLength: 40 })
const values = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double({ noNaN: true }),
  text,
  fc.uint8Array({ maxLength: 60 }),
)

export const ranges: fc.Arbitrary<Range> = fc
  .tuple(counts, counts)
  .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }))
const rangeLists = fc.array(ranges, { maxLength: 5 })

const versions = counts.map((count) => Math.max(1, count))

/** Seqs are those of the columns in their order. */
export const fullChangesets: fc.Arbitrary<FullChangeset> = fc
  .tuple(
    record({ actor: actors, version: versions, ts }),
    fc.nat(1000),
    fc.nat(10),
    fc.array(
      record({
        table: text,
        rows: fc.array(
          record({
            pk: fc.uint8Array({ maxLength: 30 }),
            columns: fc.array(
              record({ cid: text, val: values, colVersion: counts, seq: fc.nat(), cl: counts }),
              { maxLength: 4 },
            ),
          }),
          { maxLength: 4 },
        ),
      }),
      { maxLength: 3 },
    ),
  )
  .map(([head, start, more, drawn]) => {
    let seq = start
    const tables = drawn.map(({ table, rows }) => ({
      table,
      rows: rows.map(({ pk, columns }) => ({
        pk,
        columns: columns.map((column) => ({ ...column, seq: seq++ })),
      })),
    }))
    const end = seq + more
    return { kind: 'full', ...head, tables, seqs: { start, end }, lastSeq: end + more }
  })

export const emptyChangesets: fc.Arbitrary<EmptyChangeset> = record({
  kind: fc.constant('empty' as const),
  actor: actors,
  versions: ranges,
  ts: fc.option(ts),
})

export const changesets: fc.Arbitrary<Changeset> = fc.oneof(fullChangesets, emptyChangesets)

const mapOf = <K, V>(keys: fc.Arbitrary<K>, held: fc.Arbitrary<V>) =>
  fc.array(fc.tuple(keys, held), { maxLength: 4 }).map((entries) => new Map(entries))

const syncStates: fc.Arbitrary<SyncState> = record({
  actor: actors,
  heads: mapOf(actors, counts),
  need: mapOf(actors, rangeLists),
  partialNeed: mapOf(actors, mapOf(counts, rangeLists)),
})

const needLists: fc.Arbitrary<ActorNeeds[]> = fc.array(
  record({
    actor: actors,
    needs: fc.array(
      fc.oneof(
        record({ kind: fc.constant('full' as const), versions: ranges }),
        record({ kind: fc.constant('partial' as const), version: counts, seqs: rangeLists }),
      ),
      { maxLength: 4 },
    ),
  }),
  { maxLength: 4 },
)

export const syncMessages: fc.Arbitrary<SyncMessage> = fc.oneof(
  record({ kind: fc.constant('state' as const), state: syncStates }),
  record({ kind: fc.constant('changeset' as const), changeset: changesets }),
  record({ kind: fc.constant('clock' as const), ts }),
  record({
    kind: fc.constant('rejection' as const),
    reason: fc.constantFrom('maxConcurrency' as const, 'otherCluster' as const),
  }),
  record({ kind: fc.constant('request' as const), needs: needLists }),
)

const ports = fc.integer({ min: 1, max: 65_535 })
const addresses = fc.oneof(
  fc.tuple(fc.ipV4(), ports).map(([host, port]) => `${host}:${port}`),
  fc
    .tuple(fc.array(fc.integer({ min: 0, max: 65_535 }), { minLength: 8, maxLength: 8 }), ports)
    .map(([groups, port]) => `[${ipv6Text(groups)}]:${port}`),
  fc.string({ maxLength: 40 }),
)
const identities: fc.Arbitrary<Identity> = record({
  id: actors,
  address: addresses,
  renewedAt: fc.maxSafeNat(),
})
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const rumours: fc.Arbitrary<Rumour> = record({
  identity: identities,
  incarnation: u32,
  health: fc.constantFrom('alive' as const, 'suspect' as const, 'down' as const),
})

const envelope = {
  clusterId: fc.integer({ min: 0, max: 65_535 }),
  from: identities,
  incarnation: u32,
  rumours: fc.array(rumours, { maxLength: RUMOURS_MAX }),
}
export const swimMessages: fc.Arbitrary<SwimMessage> = fc.oneof(
  record({
    ...envelope,
    kind: fc.constantFrom('ping' as const, 'ack' as const, 'relayedAck' as const),
    probe: u32,
  }),
  record({
    ...envelope,
    kind: fc.constant('pingRequest' as const),
    probe: u32,
    target: identities,
  }),
  record({
    ...envelope,
    kind: fc.constantFrom('announce' as const, 'feed' as const, 'gossip' as const),
  }),
)

/** Valid bytes with a few of them changed, cut or doubled: what random bytes never reach. */
export function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const edit = fc.tuple(
    fc.nat(),
    fc.constantFrom('set', 'cut', 'insert'),
    fc.integer({ min: 0, max: 255 }),
  )
  return fc.tuple(valid, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([bytes, edits]) => {
    let edited = Buffer.from(bytes)
    for (const [where, how, byte] of edits) {
      const at = where % (edited.length + 1)
      if (how === 'set' && at < edited.length) edited[at] = byte
      else if (how === 'cut') edited = edited.subarray(0, at)
      else edited = Buffer.concat([edited.subarray(0, at), Buffer.of(byte), edited.subarray(at)])
    }
    return edited
  })
}
