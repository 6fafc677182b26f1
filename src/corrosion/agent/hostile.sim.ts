import assert from 'node:assert/strict'
import { fc } from '#property'
import { defineScenario, type NodeEnv, type SimNode, type World } from '#sim'
import { parseActorId } from '../changes/actor-id.ts'
import { type FullChangeset, SENTINEL } from '../changes/changeset.ts'
import { packKey } from '../changes/packed-key.ts'
import { MemoryTransport } from '../transport/memory-transport.ts'
import { encodeBroadcast } from '../wire/broadcast.ts'
import { encodeSwim } from '../wire/swim-datagram.ts'
import { encodeSyncMessage, encodeSyncStart } from '../wire/sync-message.ts'
import { fullChangesets, mutated, swimMessages, syncMessages } from '../wire/wire-arbitraries.ts'
import { type SimAgent, SimCluster } from './sim-cluster.fixture.ts'

const OURS = 1
const OTHERS = 2
/** Nobody's: what it wrote is not what the promises are about. */
const ghost = parseActorId('66'.repeat(16))
const ATTACKER = '10.0.0.66:8787'
const WRITE_MS = 100

const anyValue = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double({ noNaN: true }),
  fc.string({ maxLength: 10 }),
  fc.uint8Array({ maxLength: 10 }),
)
const anyKey = fc.oneof(
  fc.array(anyValue, { maxLength: 3 }).map(packKey),
  fc.bigInt({ min: 0n, max: 5n }).map((id) => packKey([id])),
  fc.bigInt({ min: 0n, max: 5n }).map((n) => packKey(['ghost', n])),
  fc.uint8Array({ maxLength: 10 }),
)
const anyCount = fc.oneof(fc.nat(5), fc.maxSafeNat())

/** Well written, and wrong in what it says: of tables and columns that are here and that are not. */
const unfit: fc.Arbitrary<FullChangeset> = fc
  .tuple(
    fullChangesets,
    fc.constantFrom('shared', 'owned', 'crsql_changes', 'sqlite_master', '__proto__', ''),
    anyKey,
    fc.constantFrom('a', 'b', 'body', 'id', SENTINEL, 'nowhere', '__proto__', '"'),
    fc.tuple(anyValue, anyCount, anyCount, anyCount),
  )
  .map(([changeset, table, pk, cid, [val, colVersion, cl, version]]) => {
    const { start: seq } = changeset.seqs
    const tables = [{ table, rows: [{ pk, columns: [{ cid, val, colVersion, cl, seq }] }] }]
    return { ...changeset, actor: ghost, version: Math.max(1, version), tables }
  })

const bytes = fc.uint8Array({ maxLength: 200 })
const frameOf = (payload: Uint8Array) => {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(payload.length)
  return Buffer.concat([head, payload])
}
const broadcasts = fullChangesets.map((changeset) => encodeBroadcast(changeset, OURS).subarray(4))
const openings = fc.constantFrom(OURS, OTHERS).map((clusterId) => {
  const start = { actor: ghost, clusterId, supportsCompression: true }
  return encodeSyncStart({ ...start, traceparent: null, tracestate: null })
})

const datagrams = fc.oneof(
  bytes,
  swimMessages.map((message) => encodeSwim({ ...message, clusterId: OTHERS })),
  mutated(swimMessages.map((message) => encodeSwim({ ...message, clusterId: OURS }))),
)
const frames = fc.oneof(
  bytes.map(frameOf),
  mutated(broadcasts).map(frameOf),
  unfit.map((changeset) => encodeBroadcast(changeset, OURS)),
  fullChangesets.map((changeset) => encodeBroadcast(changeset, OTHERS)),
  bytes.map((rest) => Buffer.concat([Buffer.alloc(4, 0xff), rest])), // a length beyond all limits
)
const sessions = fc.tuple(
  fc.oneof(openings, bytes.map(frameOf)),
  fc.array(fc.oneof(syncMessages.map(encodeSyncMessage), bytes.map(frameOf)), { maxLength: 5 }),
  fc.constantFrom('reset' as const, 'finish' as const, 'silence' as const),
)

/** Speaks the transport's language, and nothing that an honest node would say. */
class Attacker {
  readonly #transport: MemoryTransport

  constructor(env: NodeEnv) {
    this.#transport = new MemoryTransport({
      address: env.id,
      network: env.network,
      clock: env.clock,
      handlers: {
        datagramReceived: () => undefined,
        frameReceived: () => undefined,
        sessionOpened: (session) => session.reset(),
      },
    })
  }

  strike(to: string, draw: <T>(from: fc.Arbitrary<T>) => T): void {
    this.#transport.sendDatagram(to, draw(datagrams))
    this.#transport.sendUni(to, draw(frames))
    this.#talk(to, draw(sessions)).catch(() => undefined) // thrown out: just as well
  }

  async #talk(to: string, [opening, rest, end]: Value<typeof sessions>): Promise<void> {
    const session = await this.#transport.openBi(to)
    await session.send(opening)
    for (const frame of rest) await session.send(frame)
    if (end === 'reset') session.reset()
    else if (end === 'finish') session.finish()
  }
}

type Value<Drawn> = Drawn extends fc.Arbitrary<infer T> ? T : never

/**
 * Somebody inside the transport sends whatever comes to mind. Nodes count it, live on and keep their own rows in step.
 * That whoever holds a certificate may write rows of anybody is no promise broken: the cluster trusts its CA.
 */
export const scenario = defineScenario({
  name: 'hostile',
  describe: 'a cluster lives through malformed, oversized and lying datagrams, frames and sessions',
  defaults: { nodes: 3, strikes: 100, quietMs: 60_000 },
  world: () => ({ network: { link: { latencyMs: 10, jitterMs: 5 } } }),
  async run(world, { nodes: count, strikes, quietMs }) {
    using cluster = new SimCluster(world, count)
    await world.runAsync({ forMs: 3_000 })
    const attacker = world.addNode(ATTACKER, (env) => new Attacker(env))
    const random = world.random('strikes')
    const draw = <T>(from: fc.Arbitrary<T>): T =>
      fc.sample(from, { numRuns: 1, seed: random.int(2 ** 31) })[0] as T
    for (let n = 1; n <= strikes; n += 1) {
      for (const { app, id } of cluster.nodes) {
        app.writeOwned(n)
        attacker.app.strike(id, draw)
      }
      await world.runAsync({ forMs: WRITE_MS })
    }
    attacker.crash()
    const areInStep = () => cluster.nodes.every(({ app }) => hasAll(app, cluster, strikes))
    await world.eventuallyAsync('honest rows are everywhere', areInStep, { withinMs: quietMs })
    assertCounted(world, cluster.nodes)
  },
})

function hasAll(app: SimAgent, { nodes }: SimCluster, rows: number): boolean {
  return nodes.every(({ id }) => app.ownedRows(id) === rows)
}

/** Nothing was passed over in silence. */
function assertCounted(world: World, nodes: readonly SimNode<SimAgent>[]): void {
  const sum = (of: (app: SimAgent) => number) => nodes.reduce((all, { app }) => all + of(app), 0)
  const counts = {
    framesMalformed: sum(({ cluster }) => cluster.counters.framesMalformed),
    framesOfOtherClusters: sum(({ cluster }) => cluster.counters.framesOfOtherClusters),
    streamsRefused: sum(({ cluster }) => cluster.transport.counters.streamsRefused),
    datagramsMalformed: sum(({ cluster }) => cluster.membership.badDatagramCount),
    refused: sum(({ cluster }) => cluster.counters.refused),
    syncServesFailed: sum(({ cluster }) => cluster.counters.syncServesFailed),
  }
  world.log('counted', counts)
  for (const [name, count] of Object.entries(counts)) assert.ok(count > 0, `${name} was counted`)
  for (const { app, id } of nodes) {
    const known = new Set([...app.cluster.members.values()].map(({ address }) => address))
    for (const other of nodes) assert.ok(other.id === id || known.has(other.id), 'still a member')
  }
}
