/**
 * The host's end of the agent protocol as a core without I/O: events in, actions out. It owns ids,
 * windows and the order of things; agent.ts owns the socket, the timers and Node's streams.
 *
 * The guest is hostile: whatever its bytes say, the memory behind a session is bounded by the window
 * of each stream that we opened, and a guest that breaks a rule loses the session, nothing more.
 * Source of the rules: native/init/PROTOCOL.md.
 */
import assert from 'node:assert/strict'
import {
  decodeEnding,
  decodeFailure,
  decodeState,
  decodeWelcome,
  type Ending,
  type EntrypointState,
  type Welcome,
} from './answers.ts'
import { type AgentError, channelLost, protocolBroken } from './errors.ts'
import {
  encodeFrame,
  type Frame,
  FrameReader,
  FrameType,
  PAYLOAD_BYTES_MAX,
  PREAMBLE_BYTES,
} from './frame.ts'

/** Requests that may wait for an answer at once, streams included. */
export const REQUESTS_MAX = 256
/** Init's window, before it has told us: native/init/ring.h. */
const WINDOW_BYTES = 131_072
/** Told to the guest in pieces, for a frame a read would double the traffic. */
const ACKNOWLEDGE_BYTES = WINDOW_BYTES / 4

export interface Request {
  readonly id: number
  readonly type: FrameType
  readonly payload: Buffer
  readonly part?: number
  /** For error messages: "start the entrypoint". */
  readonly doing: string
}

export type SessionEvent =
  | { readonly type: 'connected' }
  | { readonly type: 'bytesReceived'; readonly bytes: Buffer }
  | { readonly type: 'channelEnded'; readonly cause?: unknown }
  /** Parts of one request follow each other with the same id; `isLast` awaits the answer. */
  | { readonly type: 'requested'; readonly request: Request; readonly isLast: boolean }
  | { readonly type: 'dataConsumed'; readonly id: number; readonly part: number; bytes: number }
  | { readonly type: 'inputEnded'; readonly id: number }
  | { readonly type: 'resized'; readonly id: number; columns: number; rows: number }
  | { readonly type: 'abandoned'; readonly id: number }

export type SessionAction =
  | { readonly type: 'write'; readonly bytes: Buffer }
  | { readonly type: 'announceWelcome'; readonly welcome: Welcome }
  | { readonly type: 'answer'; readonly id: number; readonly payload: Buffer }
  | { readonly type: 'refuse'; readonly id: number; readonly error: AgentError }
  | { readonly type: 'deliver'; readonly id: number; readonly part: number; readonly bytes: Buffer }
  | { readonly type: 'endPart'; readonly id: number; readonly part: number }
  | { readonly type: 'allowInput'; readonly id: number }
  | { readonly type: 'closeStream'; readonly id: number; readonly ending: Ending }
  | { readonly type: 'tellEntrypoint'; readonly state: EntrypointState }
  | { readonly type: 'loseSession'; readonly error: AgentError }

interface Flow {
  /** Bytes that we may still send as input. */
  credit: number
  /** Per part: received and not yet acknowledged; consumed of those. */
  readonly held: [number, number, number]
  readonly consumed: [number, number, number]
}

interface Pending {
  readonly doing: string
  readonly opensStream: boolean
}

export class AgentSession {
  readonly #reader = new FrameReader()
  readonly #pending = new Map<number, Pending>()
  readonly #flows = new Map<number, Flow>()
  #isWelcome = false
  #isOver = false
  #lastId = 0

  /** An id that nothing of this session uses; undefined when too much is under way. */
  takeId(): number | undefined {
    if (this.#pending.size >= REQUESTS_MAX) return undefined
    do this.#lastId = (this.#lastId % 0xffff) + 1
    while (this.#pending.has(this.#lastId) || this.#flows.has(this.#lastId))
    return this.#lastId
  }

  /** Bytes that `sendInput` takes of this stream now. */
  creditOf(id: number): number {
    return this.#flows.get(id)?.credit ?? 0
  }

  step(event: SessionEvent): readonly SessionAction[] {
    if (this.#isOver) return []
    switch (event.type) {
      case 'connected':
        return [
          { type: 'write', bytes: Buffer.alloc(PREAMBLE_BYTES) },
          writeFrame(FrameType.hello, 0),
        ]
      case 'bytesReceived':
        return this.#receive(event.bytes)
      case 'channelEnded':
        return this.#lose(channelLost(event.cause))
      case 'requested':
        return this.#request(event.request, event.isLast)
      case 'dataConsumed':
        return this.#acknowledge(event.id, event.part, event.bytes)
      case 'inputEnded':
        return this.#flows.has(event.id) ? [writeFrame(FrameType.end, event.id)] : []
      case 'resized':
        return this.#resize(event.id, event.columns, event.rows)
      case 'abandoned':
        return this.#isKnown(event.id) ? [writeFrame(FrameType.reset, event.id)] : []
    }
  }

  /** Takes as much of `bytes` as the window allows. @returns what was taken, and its frames. */
  sendInput(id: number, bytes: Buffer): { taken: number; actions: readonly SessionAction[] } {
    const flow = this.#flows.get(id)
    if (flow === undefined || this.#isOver) return { taken: 0, actions: [] }
    const taken = Math.min(flow.credit, bytes.length)
    flow.credit -= taken
    const actions: SessionAction[] = []
    for (let at = 0; at < taken; at += PAYLOAD_BYTES_MAX) {
      const piece = bytes.subarray(at, Math.min(at + PAYLOAD_BYTES_MAX, taken))
      actions.push(writeFrame(FrameType.data, id, piece))
    }
    return { taken, actions }
  }

  #isKnown(id: number): boolean {
    return this.#flows.has(id) || this.#pending.has(id)
  }

  #request({ id, type, payload, part = 0, doing }: Request, isLast: boolean): SessionAction[] {
    assert(payload.length <= PAYLOAD_BYTES_MAX, 'the shell cuts requests')
    const opensStream = type >= FrameType.exec && type <= FrameType.sftp
    if (isLast) this.#pending.set(id, { doing, opensStream })
    if (opensStream) this.#flows.set(id, freshFlow())
    return [writeFrame(type, id, payload, part)]
  }

  #acknowledge(id: number, part: number, bytes: number): SessionAction[] {
    const flow = this.#flows.get(id)
    if (flow === undefined || (part !== 1 && part !== 2)) return []
    flow.consumed[part] += bytes
    const isWorthIt = flow.consumed[part] >= ACKNOWLEDGE_BYTES
    if (!isWorthIt && flow.consumed[part] < flow.held[part]) return []
    const payload = Buffer.alloc(4)
    payload.writeUInt32BE(flow.consumed[part])
    flow.held[part] -= flow.consumed[part]
    assert(flow.held[part] >= 0, 'more was consumed than received')
    flow.consumed[part] = 0
    return [writeFrame(FrameType.window, id, payload, part)]
  }

  #resize(id: number, columns: number, rows: number): SessionAction[] {
    if (!this.#isKnown(id)) return []
    const payload = Buffer.alloc(4)
    payload.writeUInt16BE(columns, 0)
    payload.writeUInt16BE(rows, 2)
    return [writeFrame(FrameType.resize, id, payload)]
  }

  #receive(bytes: Buffer): SessionAction[] {
    const actions: SessionAction[] = []
    this.#reader.push(bytes)
    for (;;) {
      const parsed = this.#reader.next()
      if (parsed === 'more') return actions
      // Before the welcome there is the end of somebody else's session: hunt on.
      if (parsed === 'lost' && !this.#isWelcome) continue
      try {
        if (parsed === 'lost') throw protocolBroken('the machine sent bytes that are no frame')
        actions.push(...this.#take(parsed))
      } catch (error) {
        return [...actions, ...this.#lose(error as AgentError)] // decoders throw nothing else
      }
    }
  }

  #take(frame: Frame): SessionAction[] {
    if (frame.type === FrameType.welcome) return this.#welcome(frame.payload)
    if (!this.#isWelcome) return []
    switch (frame.type) {
      case FrameType.done:
        return this.#done(frame)
      case FrameType.failed:
        return this.#failed(frame)
      case FrameType.state:
        return [{ type: 'tellEntrypoint', state: decodeState(frame.payload) }]
      case FrameType.data:
        return this.#data(frame)
      case FrameType.end:
        return this.#flows.has(frame.id)
          ? [{ type: 'endPart', id: frame.id, part: frame.part }]
          : []
      case FrameType.window:
        return this.#window(frame)
      case FrameType.closed:
        return this.#closed(frame)
      default:
        return [] // of a later version: PROTOCOL.md says to pass over it
    }
  }

  #welcome(payload: Buffer): SessionAction[] {
    if (this.#isWelcome) throw protocolBroken('the machine began a session that nobody asked for')
    const welcome = decodeWelcome(payload)
    if (welcome.windowBytes !== WINDOW_BYTES)
      throw protocolBroken('the machine has another window', { windowBytes: welcome.windowBytes })
    this.#isWelcome = true
    this.#flows.set(0, freshFlow())
    return [{ type: 'announceWelcome', welcome }]
  }

  #done({ id, payload }: Frame): SessionAction[] {
    if (!this.#pending.delete(id)) throw protocolBroken('an answer to no question', { id })
    return [{ type: 'answer', id, payload }]
  }

  #failed({ id, payload }: Frame): SessionAction[] {
    const pending = this.#pending.get(id)
    if (pending === undefined) throw protocolBroken('a refusal of no question', { id })
    this.#pending.delete(id)
    if (pending.opensStream) this.#flows.delete(id)
    return [{ type: 'refuse', id, error: decodeFailure(payload, pending.doing) }]
  }

  #data({ id, part, payload }: Frame): SessionAction[] {
    const flow = this.#flows.get(id)
    if (flow === undefined) throw protocolBroken('data of no stream', { id })
    if (part !== 1 && part !== 2) throw protocolBroken('data of no part', { id, part })
    flow.held[part] += payload.length
    if (flow.held[part] > WINDOW_BYTES) throw protocolBroken('data beyond the window', { id })
    return [{ type: 'deliver', id, part, bytes: payload }]
  }

  #window({ id, payload }: Frame): SessionAction[] {
    const flow = this.#flows.get(id)
    if (flow === undefined || payload.length !== 4) throw protocolBroken('a bad window', { id })
    flow.credit += payload.readUInt32BE(0)
    if (flow.credit > WINDOW_BYTES) throw protocolBroken('a window for unsent bytes', { id })
    return [{ type: 'allowInput', id }]
  }

  #closed({ id, payload }: Frame): SessionAction[] {
    if (id === 0 || this.#pending.has(id) || !this.#flows.delete(id))
      throw protocolBroken('the end of no stream', { id })
    return [{ type: 'closeStream', id, ending: decodeEnding(payload) }]
  }

  #lose(error: AgentError): SessionAction[] {
    this.#isOver = true
    this.#pending.clear()
    this.#flows.clear()
    return [{ type: 'loseSession', error }]
  }
}

const freshFlow = (): Flow => ({ credit: WINDOW_BYTES, held: [0, 0, 0], consumed: [0, 0, 0] })

function writeFrame(type: FrameType, id: number, payload: Buffer = Buffer.alloc(0), part = 0) {
  return { type: 'write', bytes: encodeFrame({ type, id, part, payload }) } as const
}
