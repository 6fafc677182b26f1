/**
 * A counter on two machines, small enough to be read whole: the subject of the example scenario
 * replicated-counter.sim.ts. Not a part of the platform.
 *
 * Clients send `add` until they hear `added`. The primary appends the request to its log, syncs,
 * copies it to the backup, and answers when the backup has synced it too. Requests are numbered,
 * so one that comes again is answered again and counted once. A failed disk call ends the
 * process; recovery copies what it can trust of the log into a new file, because after a failed
 * fsync the page cache may show records that will never be durable.
 */
import { errorCode } from '#base'
import type { NodeEnv } from './node.ts'

/** Mistakes to make on purpose: the simulator must find each. */
// biome-ignore format: a list
export const mistakes = [
  'none', 'ack-before-fsync', 'forget-dedupe', 'forget-directory', 'trust-cache',
] as const
export type Mistake = (typeof mistakes)[number]

interface Entry {
  readonly request: number
  readonly amount: number
}

type Message =
  | { readonly type: 'add'; readonly entry: Entry }
  | { readonly type: 'added'; readonly request: number }
  | { readonly type: 'copy'; readonly position: number; readonly entry: Entry }
  | { readonly type: 'copied'; readonly length: number }

const LOG = 'counter.log'
const ENTRY_BYTES = 12
const RESEND_MS = 150

/** Offset 0 request, 4 amount, 8 checksum, each 4 bytes, big-endian. Zeros are no entry. */
function encodeEntry({ request, amount }: Entry): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, request)
  view.setUint32(4, amount)
  view.setUint32(8, checksum(request, amount))
  return bytes
}

const checksum = (request: number, amount: number) =>
  (Math.imul(request + 1, 0x9e3779b1) ^ amount) >>> 0

/** The entries up to the first that was torn. */
function decodeLog(bytes: Uint8Array): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const entries: Entry[] = []
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    const entry = { request: view.getUint32(at), amount: view.getUint32(at + 4) }
    const isWhole = view.getUint32(at + 8) === checksum(entry.request, entry.amount)
    if (!isWhole) break
    entries.push(entry)
  }
  return entries
}

/** The durable log of one machine. */
class CounterLog {
  readonly entries: Entry[] = []
  /** How often each request was counted: 1, if all is well. */
  readonly times = new Map<number, number>()
  readonly #env: NodeEnv
  readonly #mistake: Mistake

  constructor(env: NodeEnv, mistake: Mistake) {
    this.#env = env
    this.#mistake = mistake
    this.#orExit(() => this.#recover())
  }

  append(entry: Entry): void {
    this.#orExit(() => {
      this.#env.disk.append('log.append', LOG, encodeEntry(entry))
      if (this.#mistake !== 'ack-before-fsync') this.#env.disk.fsync('log.fsync', LOG)
    })
    this.#count(entry)
  }

  /** What the mistaken primary does too late. */
  sync(): void {
    if (this.#mistake === 'ack-before-fsync') {
      this.#orExit(() => this.#env.disk.fsync('log.fsync', LOG))
    }
  }

  #recover(): void {
    const { disk } = this.#env
    const isThere = disk.size('log.open', LOG) !== undefined
    const found = isThere ? disk.read('log.read', LOG) : new Uint8Array(0)
    for (const entry of decodeLog(found)) this.#count(entry)
    if (this.#mistake === 'trust-cache' && isThere) return
    const fresh = `${LOG}.new`
    disk.write('recover.write', fresh, 0, found)
    disk.truncate('recover.truncate', fresh, this.entries.length * ENTRY_BYTES)
    disk.fsync('recover.fsync', fresh)
    disk.rename('recover.rename', fresh, LOG)
    if (this.#mistake !== 'forget-directory') disk.fsyncDirectory('recover.fsync_directory', '')
  }

  #count(entry: Entry): void {
    this.entries.push(entry)
    this.times.set(entry.request, (this.times.get(entry.request) ?? 0) + 1)
  }

  #orExit(write: () => void): void {
    try {
      write()
    } catch (error) {
      const code = errorCode(error)
      if (code === undefined) throw error
      this.#env.exit(`disk: ${code}`)
    }
  }
}

export class Primary {
  readonly log: CounterLog
  readonly #env: NodeEnv
  readonly #mistake: Mistake
  /** Which requests are known: what makes a repetition harmless. */
  readonly #known: Set<number>
  readonly #waiting = new Map<number, Set<string>>()
  #copied = 0

  constructor(env: NodeEnv, mistake: Mistake) {
    this.#env = env
    this.#mistake = mistake
    this.log = new CounterLog(env, mistake)
    this.#known = new Set(mistake === 'forget-dedupe' ? [] : this.log.times.keys())
    env.network.bind((message, from) => this.#receive(message as Message, from))
    this.#resend()
  }

  #receive(message: Message, from: string): void {
    if (message.type === 'add') this.#add(message.entry, from)
    else if (message.type === 'copied') this.#copiedUpTo(message.length)
  }

  #add(entry: Entry, client: string): void {
    if (!this.#known.has(entry.request)) {
      this.log.append(entry)
      this.#known.add(entry.request)
      this.#copy(this.log.entries.length - 1)
    }
    const waiting = this.#waiting.get(entry.request) ?? new Set()
    this.#waiting.set(entry.request, waiting.add(client))
    this.#answer()
  }

  #copy(position: number): void {
    const entry = this.log.entries[position]
    if (entry !== undefined) this.#env.network.send('backup', { type: 'copy', position, entry })
  }

  #copiedUpTo(length: number): void {
    if (length <= this.#copied) return
    this.#copied = length
    this.#copy(length)
    this.#answer()
  }

  #answer(): void {
    const safe = this.#mistake === 'ack-before-fsync' ? this.log.entries.length : this.#copied
    for (let position = 0; position < safe; position += 1) {
      const request = this.log.entries[position]?.request ?? 0
      for (const client of this.#waiting.get(request) ?? []) {
        this.#env.network.send(client, { type: 'added', request })
      }
      this.#waiting.delete(request)
    }
  }

  #resend(): void {
    this.log.sync()
    this.#copy(this.#copied)
    this.#env.clock.setTimer(() => this.#resend(), RESEND_MS)
  }
}

export class Backup {
  readonly log: CounterLog

  constructor(env: NodeEnv, mistake: Mistake) {
    this.log = new CounterLog(env, mistake === 'ack-before-fsync' ? mistake : 'none')
    env.network.bind((received, from) => {
      const message = received as Message
      if (message.type !== 'copy') return
      if (message.position === this.log.entries.length) this.log.append(message.entry)
      this.log.sync()
      env.network.send(from, { type: 'copied', length: this.log.entries.length })
    })
  }
}

export interface ClientOptions {
  /** Apart from the requests of all other clients. */
  readonly firstRequest: number
  readonly requestCount: number
  readonly added: (entry: Entry) => void
}

/** Sends one request after the other, each until it is answered. */
export class Client {
  readonly #env: NodeEnv
  readonly #options: ClientOptions
  #done = 0

  constructor(env: NodeEnv, options: ClientOptions) {
    this.#env = env
    this.#options = options
    env.network.bind((message) => this.#receive(message as Message))
    this.#send()
  }

  get isDone(): boolean {
    return this.#done === this.#options.requestCount
  }

  get #entry(): Entry {
    const request = this.#options.firstRequest + this.#done
    return { request, amount: (request % 9) + 1 }
  }

  #receive(message: Message): void {
    const entry = this.#entry
    if (this.isDone || message.type !== 'added' || message.request !== entry.request) return
    this.#env.log('acknowledged', entry)
    this.#options.added(entry)
    this.#done += 1
  }

  #send(): void {
    if (this.isDone) return
    this.#env.network.send('primary', { type: 'add', entry: this.#entry })
    this.#env.clock.setTimer(() => this.#send(), RESEND_MS)
  }
}
