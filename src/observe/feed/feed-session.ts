import { errorCode, GodwitError } from '#base'
import {
  type ClientCommand,
  ClientReader,
  type ConnectOptions,
  PAYLOAD_BYTES_MAX,
} from './client-commands.ts'
import { appNamedBy, isOfLog, narrowedTo } from './log-subjects.ts'

/** Who may read what. */
export interface FeedAccess {
  /** Undefined: nobody that is known. */
  open(who: { user: string; password: string }): FeedReader | undefined
}

export interface FeedReader {
  /** Keeps queue groups of one organisation from those of another. A token of a subject. */
  readonly group: string
  /** Names of the apps whose lines it may read now; undefined: it may not be here any more. */
  apps(): ReadonlySet<string> | undefined
  /** Asked for each line: an app may have ended, and another organisation may have its name since. */
  mayRead(app: string): boolean
}

export type FeedAction =
  | { readonly kind: 'write'; readonly bytes: Buffer }
  /** At NATS; lines come back as `line` with this key. */
  | {
      readonly kind: 'listen'
      readonly key: string
      readonly subject: string
      readonly queue: string | undefined
    }
  | { readonly kind: 'unlisten'; readonly key: string }
  /** After what was written. Nothing is taken in any more. */
  | { readonly kind: 'close'; readonly why: string }

interface Subscription {
  readonly subject: string
  readonly queue: string | undefined
  /** Subjects that are listened to, by app. */
  readonly listening: Map<string, string>
  delivered: number
  max: number | undefined
}

const CONNECT_MS_MAX = 10_000
/** Apps come and go, and tokens end. */
const REFRESH_MS = 5_000
const LOOK_MS = 250
const PING_MS = 30_000
const PINGS_UNANSWERED_MAX = 2
const SUBSCRIPTIONS_MAX = 64
/** Subjects listened to, of all subscriptions of a client. */
const LISTENING_MAX = 10_000
const NAME = /^\S{1,64}$/
const QUEUE = /^[^\s.*>]{1,64}$/
const SUBJECT_CHARS_MAX = 512

/**
 * One client of the log stream, as it sees a NATS server on which there is nothing but the log of its organisation,
 * and nobody may publish. No I/O: bytes, lines and the time go in, actions come out.
 */
export class FeedSession {
  readonly #access: FeedAccess
  readonly #reader = new ClientReader()
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #openedMs: number
  #actions: FeedAction[] = []
  #identity: FeedReader | undefined
  #apps: ReadonlySet<string> = new Set()
  #isVerbose = false
  #isClosed = false
  #refreshedMs: number
  #pingedMs: number
  #pings = 0

  constructor(access: FeedAccess, nowMs: number) {
    this.#access = access
    this.#openedMs = nowMs
    this.#refreshedMs = nowMs
    this.#pingedMs = nowMs
  }

  /** What the server says first. */
  greet(about: { readonly port: number; readonly clientId: number }): FeedAction[] {
    const info = {
      ...{ server_id: 'godwit', server_name: 'godwit', version: '2.9.10', proto: 1 },
      ...{ host: '0.0.0.0', port: about.port, headers: true, auth_required: true },
      ...{ max_payload: PAYLOAD_BYTES_MAX, client_id: about.clientId },
    }
    this.#say(`INFO ${JSON.stringify(info)}`)
    return this.#take()
  }

  receive(bytes: Buffer, nowMs: number): FeedAction[] {
    if (this.#isClosed) return []
    try {
      for (const command of this.#reader.push(bytes)) {
        this.#obey(command, nowMs)
        if (this.#isClosed) break
      }
    } catch (error) {
      if (errorCode(error) !== 'observe.protocol_bad') throw error
      this.#end(error instanceof GodwitError ? error.what : 'Parser Error')
    }
    return this.#take()
  }

  /** A line came on what `key` listens to. */
  line(key: string, subject: string, data: Uint8Array): FeedAction[] {
    const sid = key.slice(0, key.indexOf(' '))
    const subscription = this.#subscriptions.get(sid)
    const app = subject.split('.')[1] ?? ''
    if (this.#isClosed || subscription === undefined || !this.#identity?.mayRead(app)) return []
    subscription.delivered += 1
    const head = Buffer.from(`MSG ${subject} ${sid} ${data.length}\r\n`)
    this.#actions.push({ kind: 'write', bytes: Buffer.concat([head, data, CRLF]) })
    if (subscription.delivered === subscription.max) this.#remove(sid)
    return this.#take()
  }

  /** Whenever time has passed, about each second. */
  tick(nowMs: number): FeedAction[] {
    if (this.#isClosed) return []
    if (this.#identity === undefined) {
      if (nowMs - this.#openedMs >= CONNECT_MS_MAX) this.#end('Authentication Timeout')
      return this.#take()
    }
    if (nowMs - this.#refreshedMs >= REFRESH_MS) this.#refresh(nowMs)
    if (!this.#isClosed && nowMs - this.#pingedMs >= PING_MS) {
      this.#pingedMs = nowMs
      this.#pings += 1
      if (this.#pings > PINGS_UNANSWERED_MAX) this.#end('Stale Connection')
      else this.#say('PING')
    }
    return this.#take()
  }

  #obey(command: ClientCommand, nowMs: number): void {
    if (command.verb === 'CONNECT') this.#connect(command.options, nowMs)
    else if (this.#identity === undefined) this.#end('Authorization Violation')
    else if (command.verb === 'PING') this.#say('PONG')
    else if (command.verb === 'PONG') this.#pings = 0
    else if (command.verb === 'SUB') this.#subscribe(command, nowMs)
    else if (command.verb === 'UNSUB') this.#unsubscribe(command)
    else if (command.verb === 'PUB') {
      this.#err(`Permissions Violation for Publish to "${command.subject}"`)
    }
  }

  #connect({ user, pass: password, isVerbose }: ConnectOptions, nowMs: number): void {
    if (this.#identity === undefined) {
      this.#isVerbose = isVerbose
      this.#identity = this.#access.open({ user, password })
      if (this.#identity === undefined) this.#end('Authorization Violation')
      else this.#refresh(nowMs)
    }
    if (!this.#isClosed) this.#ok()
  }

  #subscribe(
    { subject, queue, sid }: { subject: string; queue: string | undefined; sid: string },
    nowMs: number,
  ): void {
    const problem = this.#problemOf(subject, queue, sid)
    if (problem !== undefined) {
      this.#end(problem)
      return
    }
    const app = appNamedBy(subject)
    const isUnknown = () => app !== undefined && !this.#apps.has(app)
    // It may be new. Who asks for many that are not there makes us look no more often for it.
    if (isUnknown() && nowMs - this.#refreshedMs >= LOOK_MS) this.#refresh(nowMs)
    if (this.#isClosed) return
    if (!isOfLog(subject) || isUnknown()) {
      this.#err(`Permissions Violation for Subscription to "${subject}"`)
    } else if (this.#subscriptions.has(sid)) {
      this.#ok()
    } else if (this.#subscriptions.size >= SUBSCRIPTIONS_MAX) {
      this.#err('Maximum Subscriptions Exceeded')
    } else {
      const subscription: Subscription = {
        ...{ subject, queue, listening: new Map(), delivered: 0, max: undefined },
      }
      this.#subscriptions.set(sid, subscription)
      this.#listen(sid, subscription)
      this.#ok()
    }
  }

  #problemOf(subject: string, queue: string | undefined, sid: string): string | undefined {
    if (!NAME.test(sid)) return 'Parser Error'
    if (queue !== undefined && !QUEUE.test(queue)) return 'Parser Error'
    return subject.length > SUBJECT_CHARS_MAX ? 'Maximum Control Line Exceeded' : undefined
  }

  #unsubscribe({ sid, max }: { sid: string; max: number | undefined }): void {
    const subscription = this.#subscriptions.get(sid)
    if (subscription !== undefined) {
      subscription.max = max
      if (max === undefined || subscription.delivered >= max) this.#remove(sid)
    }
    this.#ok()
  }

  /** Asks anew what this client may read. */
  #refresh(nowMs: number): void {
    this.#refreshedMs = nowMs
    const apps = this.#identity?.apps()
    if (apps === undefined) {
      this.#end('User Authentication Expired')
      return
    }
    this.#apps = apps
    for (const [sid, subscription] of this.#subscriptions) this.#listen(sid, subscription)
  }

  /** Brings what is listened to for one subscription in step with the apps that it may mean. */
  #listen(sid: string, { subject: pattern, queue, listening }: Subscription): void {
    for (const app of listening.keys()) {
      if (this.#apps.has(app)) continue
      listening.delete(app)
      this.#actions.push({ kind: 'unlisten', key: keyOf(sid, app) })
    }
    for (const app of this.#apps) {
      const subject = listening.has(app) ? undefined : narrowedTo(app, pattern)
      if (subject === undefined) continue
      if (this.#listeningCount >= LISTENING_MAX) {
        this.#err('Maximum Subscriptions Exceeded')
        return
      }
      listening.set(app, subject)
      const group = queue === undefined ? undefined : `${this.#identity?.group}-${queue}`
      this.#actions.push({ kind: 'listen', key: keyOf(sid, app), subject, queue: group })
    }
  }

  get #listeningCount(): number {
    let count = 0
    for (const { listening } of this.#subscriptions.values()) count += listening.size
    return count
  }

  #remove(sid: string): void {
    const subscription = this.#subscriptions.get(sid)
    this.#subscriptions.delete(sid)
    for (const app of subscription?.listening.keys() ?? []) {
      this.#actions.push({ kind: 'unlisten', key: keyOf(sid, app) })
    }
  }

  #ok(): void {
    if (this.#isVerbose) this.#say('+OK')
  }

  #err(why: string): void {
    this.#say(`-ERR '${why.replaceAll(/['\r\n]/g, ' ').slice(0, ERROR_CHARS_MAX)}'`)
  }

  #end(why: string): void {
    this.#err(why)
    for (const sid of [...this.#subscriptions.keys()]) this.#remove(sid)
    this.#isClosed = true
    this.#actions.push({ kind: 'close', why })
  }

  #say(line: string): void {
    this.#actions.push({ kind: 'write', bytes: Buffer.from(`${line}\r\n`) })
  }

  #take(): FeedAction[] {
    const actions = this.#actions
    this.#actions = []
    return actions
  }
}

const CRLF = Buffer.from('\r\n')
const ERROR_CHARS_MAX = 200
/** Neither has a blank in it. */
const keyOf = (sid: string, app: string) => `${sid} ${app}`
