import type { Clock } from '#base'
import type { Changeset } from '../changes/changeset.ts'
import type { HybridClock } from '../changes/hybrid-clock.ts'
import type { Replica } from '../changes/replica.ts'
import type { ActorNeeds } from '../changes/sync-state.ts'
import { computeNeeds, type NeedShares } from '../gossip/compute-needs.ts'
import type { BiSession, Transport } from '../transport/transport.ts'
import {
  decodeSyncMessage,
  decodeSyncStart,
  encodeSyncMessage,
  encodeSyncStart,
  type SyncMessage,
} from '../wire/sync-message.ts'
import { SyncError } from './errors.ts'

export interface SyncContext {
  readonly replica: Replica
  readonly clusterId: number
  readonly hlc: HybridClock
  readonly clock: Clock
}

/** Versions that a session asks for at a time. */
const PIECE_VERSIONS = 2_000
const CHUNK_BYTES_MAX = 8_192
const CHUNK_BYTES_MIN = 1_024
/** Chunks are gathered into writes of this size. */
const WRITE_BYTES = 65_536
const SLOW_SEND_MS = 500
const STEP_MS = 5_000
/** Reading and applying a piece may take its time at the other end. */
const PIECE_MS = 60_000
/** After this a session asks for nothing more: the round waits for it, and the next one goes on from there. */
const ASK_MS = 240_000
/** So many answers in a row without a changeset: the peer does not have what it claims. */
const DRY_PIECES_MAX = 3

/**
 * Asks one peer for what it has and we lack, piece by piece, until there is nothing left to claim. What comes is
 * handed to `take`, which may make the peer wait.
 * @returns how many changesets came
 * @throws SyncError, TransportError, WireError; what has come until then stays
 */
export async function pullFrom(
  address: string,
  transport: Transport,
  context: SyncContext,
  shares: NeedShares,
  take: (changesets: Changeset[]) => Promise<void>,
): Promise<number> {
  const { replica, clusterId, hlc } = context
  const session = await transport.openBi(address, { deadlineMs: STEP_MS })
  try {
    const start = { actor: replica.actor, clusterId, supportsCompression: true }
    const head = encodeSyncStart({ ...start, traceparent: null, tracestate: null })
    const clock = encodeSyncMessage({ kind: 'clock', ts: hlc.now() })
    await session.send(Buffer.concat([head, clock]), { deadlineMs: STEP_MS })
    const first = await receive(session, STEP_MS)
    if (first?.kind === 'rejection') throw rejected(first.reason)
    if (first?.kind !== 'state') throw outOfTurn(first)
    const answer = await receive(session, STEP_MS)
    if (answer?.kind === 'clock') hlc.observe(answer.ts)
    const needs = computeNeeds(replica.syncState(), first.state)
    const pull = { session, shares, needs, take, clock: context.clock }
    const count = await pullPieces(pull)
    session.finish()
    await session.receive({ deadlineMs: STEP_MS }) // the peer's end
    return count
  } catch (error) {
    session.reset()
    throw error
  }
}

interface Pull {
  readonly session: BiSession
  readonly shares: NeedShares
  readonly needs: ReturnType<typeof computeNeeds>
  readonly take: (changesets: Changeset[]) => Promise<void>
  readonly clock: Clock
}

/** No peer holds up a round for ever, whatever it claims and sends. */
async function pullPieces({ session, shares, needs, take, clock }: Pull): Promise<number> {
  const askUntilMs = clock.monotonicMs() + ASK_MS
  let count = 0
  let dryPieces = 0
  // One piece is on its way while the one before is applied.
  const ask = async () => {
    if (dryPieces >= DRY_PIECES_MAX || clock.monotonicMs() >= askUntilMs) return false
    const piece = shares.claim(needs, PIECE_VERSIONS)
    if (piece.length === 0) return false
    await session.send(encodeSyncMessage({ kind: 'request', needs: piece }), {
      deadlineMs: STEP_MS,
    })
    return true
  }
  let asked = 0
  if (await ask()) asked += 1
  if (asked > 0 && (await ask())) asked += 1
  for (; asked > 0; asked -= 1) {
    const came = await pullPiece(session, take, () => askUntilMs + PIECE_MS - clock.monotonicMs())
    count += came
    dryPieces = came === 0 ? dryPieces + 1 : 0
    if (await ask()) asked += 1
  }
  return count
}

/** Changesets until the clock message that ends the answer to one request. @param leftMs of the session */
async function pullPiece(
  session: BiSession,
  take: (changesets: Changeset[]) => Promise<void>,
  leftMs: () => number,
): Promise<number> {
  let count = 0
  let batch: Changeset[] = []
  for (;;) {
    if (leftMs() <= 0) throw tooLong()
    const message = await receive(session, Math.min(PIECE_MS, leftMs()))
    if (message === null) throw outOfTurn(message)
    if (message?.kind === 'changeset') {
      count += 1
      batch.push(message.changeset)
    }
    if (batch.length >= 64 || message?.kind === 'clock') {
      await take(batch)
      batch = []
    }
    if (message?.kind === 'clock') return count
  }
}

/** Serves one peer. @throws as `pullFrom` */
export async function serveSync(
  session: BiSession,
  context: SyncContext,
  isBusy: boolean,
  served: (changesets: number, bytes: number) => void,
): Promise<void> {
  const { replica, clusterId, hlc, clock: time } = context
  try {
    const opening = await session.receive({ deadlineMs: STEP_MS })
    if (opening === null) return
    const start = decodeSyncStart(opening)
    if (start.clusterId !== clusterId) return await reject(session, 'otherCluster')
    const clock = await receive(session, STEP_MS)
    if (clock?.kind === 'clock') hlc.observe(clock.ts)
    if (isBusy) return await reject(session, 'maxConcurrency')
    const state = encodeSyncMessage({ kind: 'state', state: replica.syncState() })
    const now = encodeSyncMessage({ kind: 'clock', ts: hlc.now() })
    await session.send(Buffer.concat([state, now]), { deadlineMs: STEP_MS })
    const sender = new ChunkSender(session, time, served)
    for (;;) {
      const message = await receive(session, PIECE_MS)
      if (message === null) return
      if (message?.kind !== 'request') continue
      await serveRequest(message.needs, replica, sender)
      await sender.add(encodeSyncMessage({ kind: 'clock', ts: hlc.now() }), 0)
      await sender.flush()
    }
  } finally {
    session.finish()
  }
}

async function serveRequest(
  requests: readonly ActorNeeds[],
  replica: Replica,
  sender: ChunkSender,
): Promise<void> {
  for (const { actor, needs } of requests) {
    for (const need of needs) {
      for (const changeset of replica.serve(actor, need, () => sender.chunkBytes)) {
        await sender.add(encodeSyncMessage({ kind: 'changeset', changeset }), 1)
      }
    }
  }
}

/** Gathers frames, and makes the chunks smaller while the peer takes them slowly. */
class ChunkSender {
  chunkBytes = CHUNK_BYTES_MAX
  readonly #session: BiSession
  readonly #clock: Clock
  readonly #served: (changesets: number, bytes: number) => void
  #frames: Buffer[] = []
  #bytes = 0
  #changesets = 0

  constructor(
    session: BiSession,
    clock: Clock,
    served: (changesets: number, bytes: number) => void,
  ) {
    this.#session = session
    this.#clock = clock
    this.#served = served
  }

  async add(frame: Buffer, changesets: number): Promise<void> {
    this.#frames.push(frame)
    this.#bytes += frame.length
    this.#changesets += changesets
    if (this.#bytes >= WRITE_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0) return
    const bytes = Buffer.concat(this.#frames)
    this.#served(this.#changesets, this.#bytes)
    this.#frames = []
    this.#bytes = 0
    this.#changesets = 0
    const startMs = this.#clock.monotonicMs()
    await this.#session.send(bytes, { deadlineMs: STEP_MS })
    const isSlow = this.#clock.monotonicMs() - startMs > SLOW_SEND_MS
    const next = isSlow ? this.chunkBytes / 2 : this.chunkBytes * 2
    this.chunkBytes = Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, next))
  }
}

async function reject(
  session: BiSession,
  reason: 'maxConcurrency' | 'otherCluster',
): Promise<void> {
  await session.send(encodeSyncMessage({ kind: 'rejection', reason }), { deadlineMs: STEP_MS })
}

/** null: the peer has said all; undefined: a message that takes no effect. */
async function receive(
  session: BiSession,
  deadlineMs: number,
): Promise<SyncMessage | null | undefined> {
  const payload = await session.receive({ deadlineMs })
  if (payload === null) return null
  return decodeSyncMessage(payload) ?? undefined
}

function rejected(reason: string): SyncError {
  const code = reason === 'otherCluster' ? 'sync.other_cluster' : 'sync.peer_busy'
  return new SyncError(code, { what: 'the peer refused to sync', values: { reason } })
}

function tooLong(): SyncError {
  return new SyncError('sync.too_long', {
    what: 'the peer did not end its answer in time',
    values: { limitMs: ASK_MS + PIECE_MS },
    fix: 'nothing: what came is kept, and the next round asks for the rest',
  })
}

function outOfTurn(message: SyncMessage | null | undefined): SyncError {
  return new SyncError('sync.out_of_turn', {
    what: 'the peer sent something else than its turn',
    values: { kind: message?.kind ?? 'nothing' },
  })
}
