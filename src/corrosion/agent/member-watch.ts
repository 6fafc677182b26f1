import { isIPv6 } from 'node:net'
import type { Log } from '#base'
import { askAgent } from './admin-client.ts'

export interface MemberWatchOptions {
  /** The admin socket of this host's agent. */
  readonly socket: string
  readonly log: Log
  /** @default 1,000 */
  readonly periodMs?: number
}

/**
 * Which members are there in the eyes of the agent of this host: all but those that it calls down. As long
 * as the agent does not answer, what it said last counts.
 */
export class MemberWatch implements Disposable {
  readonly #options: MemberWatchOptions
  readonly #timer: NodeJS.Timeout
  /** IP addresses. */
  #present: ReadonlySet<string> | undefined
  #isAsking = false

  constructor(options: MemberWatchOptions) {
    this.#options = options
    void this.#ask()
    this.#timer = setInterval(() => void this.#ask(), options.periodMs ?? PERIOD_MS)
  }

  /** Undefined: the agent has said nothing yet. */
  isPresent(ip: string): boolean | undefined {
    return this.#present?.has(plain(ip))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    const { socket, log } = this.#options
    try {
      const present = new Set<string>()
      for await (const frame of askAgent(socket, { Cluster: 'MembershipStates' })) {
        const member = (frame as { Json?: { id?: { addr?: unknown }; state?: unknown } }).Json
        const address = String(member?.id?.addr ?? '')
        if (member?.state !== 'Down' && address !== '') present.add(ipOf(address))
      }
      this.#present = present
    } catch (err) {
      log.debug({ err }, 'the corrosion agent does not tell its members')
    } finally {
      this.#isAsking = false
    }
  }
}

const PERIOD_MS = 1_000

/** Of `ip:port`, `[ip]:port`. */
const ipOf = (address: string) => plain(address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))

/** One form for each address. */
const plain = (ip: string) => (isIPv6(ip) ? new URL(`http://[${ip}]`).hostname : ip)
