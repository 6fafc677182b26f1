import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Clock, errorCode } from '#base'
import { type ActorId, parseActorId } from '../changes/actor-id.ts'
import type { Changeset } from '../changes/changeset.ts'
import { HybridClock } from '../changes/hybrid-clock.ts'
import { NeedShares } from '../gossip/compute-needs.ts'
import { Store } from '../store/store.ts'
import type { BiSession, Transport } from '../transport/transport.ts'
import { decodeSyncMessage, encodeSyncMessage, type SyncMessage } from '../wire/sync-message.ts'
import { pullFrom } from './sync-sessions.ts'

const ghost = parseActorId('77'.repeat(16))
const CLOCK: SyncMessage = { kind: 'clock', ts: 1n }
const empty = (version: number): SyncMessage => {
  const changeset = { actor: ghost, versions: { start: version, end: version }, ts: null }
  return { kind: 'changeset', changeset: { kind: 'empty', ...changeset } }
}
/** More than any honest exchange of these tests takes. */
const REQUESTS_MAX = 2_000

/** A peer that claims versions of `ghost` up to `head`, and answers each request as it likes. */
class ScriptedPeer {
  requests = 0
  clockMs = 0
  isReset = false
  readonly #answer: (request: number) => SyncMessage[]
  readonly #receiveMs: number
  readonly #waiting: SyncMessage[]

  constructor(head: number, answer: (request: number) => SyncMessage[], receiveMs = 0) {
    this.#answer = answer
    this.#receiveMs = receiveMs
    const heads = new Map<ActorId, number>([[ghost, head]])
    const state = { actor: ghost, heads, need: new Map(), partialNeed: new Map() }
    this.#waiting = [{ kind: 'state', state }, CLOCK]
  }

  pull(take: (changesets: Changeset[]) => void = () => undefined): Promise<number> {
    const clock = { nowMs: () => this.clockMs, monotonicMs: () => this.clockMs } as Clock
    const replica = new Store({ path: ':memory:', now: () => 1n })
    const transport = { openBi: async () => this.#session } as Partial<Transport> as Transport
    const context = { replica, clusterId: 1, hlc: new HybridClock(clock), clock }
    const taken = async (changesets: Changeset[]) => take(changesets)
    return pullFrom('peer', transport, context, new NeedShares(), taken).finally(() =>
      replica.close(),
    )
  }

  get #session(): BiSession {
    return {
      peer: 'peer',
      send: async (frame) => {
        if (decodeKind(frame) !== 'request') return
        this.requests += 1
        assert.ok(this.requests <= REQUESTS_MAX, 'it is asked without end')
        this.#waiting.push(...this.#answer(this.requests))
      },
      receive: async () => {
        this.clockMs += this.#receiveMs
        const message = this.#waiting.shift()
        return message === undefined ? null : encodeSyncMessage(message).subarray(4)
      },
      finish: () => undefined,
      reset: () => {
        this.isReset = true
      },
    }
  }
}

/** undefined: the opening of a session, which is no message like the others. */
function decodeKind(frame: Uint8Array): string | undefined {
  try {
    return decodeSyncMessage(frame.subarray(4))?.kind
  } catch {
    return undefined
  }
}

test('a peer is asked on, piece by piece, until it has sent what it has', async () => {
  const versions: Changeset[] = []
  const honest = new ScriptedPeer(10_000, (request) => [empty(request), CLOCK])
  assert.equal(await honest.pull((changesets) => versions.push(...changesets)), 5)
  assert.equal(honest.requests, 5)
  assert.equal(versions.length, 5)
})

test('a peer that sends nothing of what it claims is not asked for ever', async () => {
  const liar = new ScriptedPeer(2 ** 50, () => [CLOCK])
  assert.equal(await liar.pull(), 0)
  assert.ok(liar.requests < 10, `${liar.requests} requests`)
})

test('a peer that dribbles without end holds up the round for minutes at most', async () => {
  const dribbler = new ScriptedPeer(2 ** 50, (request) => [empty(request), CLOCK], 1_000)
  assert.ok((await dribbler.pull()) > 0, 'what came is kept')
  assert.ok(dribbler.clockMs < 600_000, `${dribbler.clockMs} ms`)
})

test('an answer that never ends is given up', async () => {
  const endless = Array.from({ length: 2_000 }, (_, at) => empty(at + 1))
  const babbler = new ScriptedPeer(2 ** 50, () => endless, 1_000)
  await assert.rejects(babbler.pull(), (error) => errorCode(error) === 'sync.too_long')
  assert.ok(babbler.isReset)
  assert.ok(babbler.clockMs < 600_000, `${babbler.clockMs} ms`)
})

test('a peer that ends within an answer, or speaks out of turn, is given up', async () => {
  const cut = new ScriptedPeer(10, () => [empty(1)])
  await assert.rejects(cut.pull(), (error) => errorCode(error) === 'sync.out_of_turn')
  assert.ok(cut.isReset)
})
