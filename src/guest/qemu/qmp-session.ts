/**
 * QEMU's machine protocol, one client's side: a core without I/O. Bytes and commands in, bytes, replies and
 * events out. Source: QEMU, docs/interop/qmp-spec.rst.
 *
 * QEMU greets first, unasked; commands are taken after `qmp_capabilities`. Replies come in the order of
 * commands and bear their ids; events come between them, also before the reply to what caused them.
 */
import { QmpError } from './errors.ts'

export type QmpValue = Readonly<Record<string, unknown>>

export interface QmpCommand {
  readonly execute: string
  readonly arguments?: QmpValue | undefined
}

export interface QmpEvent {
  readonly name: string
  readonly data: QmpValue
}

export type QmpAction =
  | { readonly type: 'write'; readonly text: string }
  | { readonly type: 'resolve'; readonly id: number; readonly value: unknown }
  | { readonly type: 'reject'; readonly id: number; readonly error: QmpError }
  | { readonly type: 'tellEvent'; readonly event: QmpEvent }
  /** The session is over: close the socket, and fail what waits. */
  | { readonly type: 'lose'; readonly error: QmpError }

/** A line of QEMU's. Its longest known, the answer to `ringbuf-read` of a console, is far below. */
export const LINE_BYTES_MAX = 4 << 20
/** Of the negotiation; commands count from 1. */
const NEGOTIATION_ID = 0

export class QmpSession {
  #phase: 'greeting' | 'negotiating' | 'ready' | 'lost' = 'greeting'
  #rest: Buffer[] = []
  #restBytes = 0
  #lastId = NEGOTIATION_ID
  /** Commands before the session is ready. */
  readonly #waiting: string[] = []
  readonly #commands = new Map<number, string>()

  /** @returns its id, and what to do. Only for a session that is not lost. */
  send(command: QmpCommand): { readonly id: number; readonly actions: readonly QmpAction[] } {
    this.#lastId += 1
    const id = this.#lastId
    this.#commands.set(id, command.execute)
    const text = `${JSON.stringify({ ...command, id })}\n`
    if (this.#phase === 'ready') return { id, actions: [{ type: 'write', text }] }
    this.#waiting.push(text)
    return { id, actions: [] }
  }

  get isLost(): boolean {
    return this.#phase === 'lost'
  }

  receive(bytes: Buffer): readonly QmpAction[] {
    const actions: QmpAction[] = []
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      this.#keep(bytes.subarray(start, end))
      start = end + 1
      if (this.#phase !== 'lost') actions.push(...this.#takeLine(this.#takeRest()))
    }
    this.#keep(bytes.subarray(start))
    if (this.#restBytes > LINE_BYTES_MAX)
      actions.push(...this.lose('QEMU sends a line without end'))
    return actions
  }

  /** The channel ended, or what came over it makes no sense. May be repeated. */
  lose(what: string): readonly QmpAction[] {
    if (this.#phase === 'lost') return []
    this.#phase = 'lost'
    this.#rest = []
    this.#restBytes = 0
    return [{ type: 'lose', error: new QmpError('guest.qmp_lost', { what }) }]
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0 || this.#phase === 'lost') return
    this.#rest.push(piece)
    this.#restBytes += piece.length
  }

  #takeRest(): string {
    const line = Buffer.concat(this.#rest).toString()
    this.#rest = []
    this.#restBytes = 0
    return line
  }

  #takeLine(line: string): readonly QmpAction[] {
    if (line.trim() === '') return []
    const message = parseObject(line)
    if (message === undefined) return this.lose('QEMU sent something that is no object')
    if (this.#phase === 'greeting') {
      if (!('QMP' in message)) return this.lose('QEMU did not greet')
      this.#phase = 'negotiating'
      const negotiation = { execute: 'qmp_capabilities', id: NEGOTIATION_ID }
      return [{ type: 'write', text: `${JSON.stringify(negotiation)}\n` }]
    }
    if (typeof message['event'] === 'string') {
      const data = isObject(message['data']) ? message['data'] : {}
      return [{ type: 'tellEvent', event: { name: message['event'], data } }]
    }
    return this.#takeReply(message)
  }

  #takeReply(message: QmpValue): readonly QmpAction[] {
    const { id, error } = message
    if (id === NEGOTIATION_ID && this.#phase === 'negotiating') return this.#becomeReady(error)
    const command = typeof id === 'number' ? this.#commands.get(id) : undefined
    if (typeof id !== 'number' || command === undefined) {
      return this.lose('QEMU answered what it was not asked')
    }
    this.#commands.delete(id)
    if ('return' in message) return [{ type: 'resolve', id, value: message['return'] }]
    return [{ type: 'reject', id, error: refused(command, error) }]
  }

  #becomeReady(error: unknown): readonly QmpAction[] {
    if (error !== undefined) return this.lose('QEMU refused the negotiation')
    this.#phase = 'ready'
    return this.#waiting.splice(0).map((text) => ({ type: 'write', text }))
  }
}

const NEWLINE = 0x0a

function refused(command: string, error: unknown): QmpError {
  const { class: kind, desc } = isObject(error) ? error : {}
  return new QmpError('guest.qmp_refused', {
    what: 'QEMU refused a command',
    values: { command, class: String(kind), said: String(desc) },
  })
}

function parseObject(line: string): QmpValue | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) ? value : undefined
  } catch {
    return undefined // what is no JSON is no object
  }
}

function isObject(value: unknown): value is QmpValue {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
