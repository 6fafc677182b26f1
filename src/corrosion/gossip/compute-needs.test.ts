import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { type ActorId, parseActorId } from '../changes/actor-id.ts'
import { RangeSet } from '../changes/range-set.ts'
import type { Need, SyncState } from '../changes/sync-state.ts'
import { computeNeeds, NeedShares, needCount } from './compute-needs.ts'

const actors = ['11', '22', '33'].map((digits) => parseActorId(digits.repeat(16)))
const self = parseActorId('99'.repeat(16))
const LAST_SEQ = 9

/** What a node has of one actor: a version each, absent, whole, or these seqs. */
type Versions = readonly (null | 'whole' | readonly number[])[]

const anyVersions: fc.Arbitrary<Versions> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(null) },
    { weight: 3, arbitrary: fc.constant('whole' as const) },
    {
      weight: 1,
      arbitrary: fc.uniqueArray(fc.nat(LAST_SEQ), { minLength: 1, maxLength: LAST_SEQ }),
    },
  ),
  { maxLength: 12 },
)

function stateOf(held: readonly Versions[]): SyncState {
  const heads = new Map<ActorId, number>()
  const need = new Map<ActorId, { start: number; end: number }[]>()
  const partialNeed = new Map<ActorId, Map<number, { start: number; end: number }[]>>()
  for (const [index, versions] of held.entries()) {
    const actor = actors[index] as ActorId
    const head = versions.findLastIndex((version) => version !== null) + 1
    if (head === 0) continue
    heads.set(actor, head)
    const gaps = new RangeSet()
    const parts = new Map<number, { start: number; end: number }[]>()
    for (const [at, version] of versions.slice(0, head).entries()) {
      if (version === null) gaps.add(at + 1, at + 1)
      else if (version !== 'whole') {
        const seqs = new RangeSet(version.map((seq) => ({ start: seq, end: seq })))
        parts.set(at + 1, seqs.missing(0, LAST_SEQ))
      }
    }
    if (!gaps.isEmpty) need.set(actor, gaps.toArray())
    if (parts.size > 0) partialNeed.set(actor, parts)
  }
  return { actor: self, heads, need, partialNeed }
}

const has = (held: Versions, version: number) => held[version - 1] ?? null
const seqsOf = (version: null | 'whole' | readonly number[]) =>
  version === null ? [] : version === 'whole' ? [...Array(LAST_SEQ + 1).keys()] : [...version]

const anyPair = fc.tuple(
  fc.tuple(anyVersions, anyVersions, anyVersions),
  fc.tuple(anyVersions, anyVersions, anyVersions),
)

test('needs are what the peer has and we lack, no more and no less', () => {
  fc.assert(
    fc.property(anyPair, ([own, peer]) => {
      const needs = computeNeeds(stateOf(own), stateOf(peer))
      for (const [index, actor] of actors.entries()) {
        for (let version = 1; version <= 12; version += 1) {
          const mine = has(own[index] as Versions, version)
          const theirs = has(peer[index] as Versions, version)
          const isFull = needs.full.get(actor)?.has(version) === true
          assert.equal(isFull, mine === null && theirs !== null, `${actor} ${version}`)
          const parts = needs.partial.get(actor)?.get(version) ?? []
          const asked = [...Array(LAST_SEQ + 1).keys()].filter((seq) =>
            parts.some(({ start, end }) => seq >= start && seq <= end),
          )
          const isPartial = mine !== null && mine !== 'whole'
          const wanted = isPartial ? seqsOf(theirs).filter((seq) => !mine.includes(seq)) : []
          assert.deepEqual(
            asked,
            wanted.sort((a, b) => a - b),
          )
        }
      }
    }),
  )
})

test('sessions of a round share the needs: all of them, none twice, in bounded pieces', () => {
  fc.assert(
    fc.property(anyPair, fc.integer({ min: 1, max: 5 }), ([own, peer], pieceMax) => {
      const needs = computeNeeds(stateOf(own), stateOf(peer))
      const shares = new NeedShares()
      const claimed: string[] = []
      for (;;) {
        const piece = shares.claim(needs, pieceMax)
        if (piece.length === 0) break
        const names = piece.flatMap(({ actor, needs: list }) =>
          list.flatMap((need) => nameOf(actor, need)),
        )
        assert.ok(names.length <= pieceMax)
        claimed.push(...names)
      }
      assert.equal(new Set(claimed).size, claimed.length)
      const all = [...needs.full].flatMap(([actor, versions]) =>
        [...versions].flatMap((range) => nameOf(actor, { kind: 'full', versions: range })),
      )
      const parts = [...needs.partial].flatMap(([actor, versions]) =>
        [...versions.keys()].map((version) => `${actor}/${version}`),
      )
      assert.deepEqual(claimed.sort(), [...all, ...parts].sort())
    }),
  )
})

test('what is missing is counted in versions', () => {
  const held: Versions = [null, 'whole', [1], null, 'whole']
  assert.equal(needCount(stateOf([held, [], []])), 3)
})

function nameOf(actor: ActorId, need: Need): string[] {
  if (need.kind === 'partial') return [`${actor}/${need.version}`]
  const { start, end } = need.versions
  return Array.from({ length: end - start + 1 }, (_, at) => `${actor}/${start + at}`)
}
