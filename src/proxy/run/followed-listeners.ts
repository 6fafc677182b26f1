import type { Clock, Log } from '#base'
import { close } from '../net/libc.ts'
import { openDatagramSocket, openListener } from '../net/socket.ts'
import type { TableName } from '../routing-table/platform-rows.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { Serving } from './serve.ts'
import type { ListeningSocket } from './sockets.ts'
import { LISTENERS_MAX, wantedListeners } from './wanted-listeners.ts'

export interface FollowedListenersOptions {
  readonly table: RoutingTable
  /** False: clients are not served, but machines of this host are. */
  readonly isEdge: boolean
  readonly protocol: 'tcp' | 'udp'
  readonly serving: Pick<Serving, 'listen' | 'unlisten'>
  /** Of the process before. */
  readonly inherited: readonly ListeningSocket[]
  readonly clock: Clock
  readonly log: Log
}

/** Rows come in bursts: one look serves all of a moment. */
const SOON_MS = 50
/** Machines' rows change all the time, and hardly ever where anybody listens. */
const LATER_MS = 1_000
/** An address that cannot be listened on is tried again. */
const RETRY_MS = 5_000

/** Keeps the sockets that clients reach as the routing table wants them. */
export class FollowedListeners implements Disposable {
  readonly #options: FollowedListenersOptions
  readonly #open = new Map<string, ListeningSocket>()
  #timer: Disposable | undefined
  #dueMs = Number.POSITIVE_INFINITY
  #refused = ''

  constructor(options: FollowedListenersOptions) {
    this.#options = options
    for (const socket of options.inherited) {
      this.#open.set(`${socket.address} ${socket.port}`, socket)
      options.serving.listen(socket.fd)
    }
    this.look()
  }

  /** They are open until this is disposed. */
  get sockets(): readonly ListeningSocket[] {
    return [...this.#open.values()]
  }

  rowChanged(table: TableName): void {
    if (table === 'ips' || table === 'services' || table === 'apps') this.#arm(SOON_MS)
    else if (table === 'machines') this.#arm(LATER_MS)
  }

  /** Opens what is wanted and not there, closes what is there and not wanted. */
  look(): void {
    const { table, isEdge, protocol, serving, log } = this.#options
    const wanted = wantedListeners(table, { isEdge, protocol })
    const openSocket = protocol === 'tcp' ? openListener : openDatagramSocket
    for (const [key, socket] of this.#open) {
      if (wanted.has(key)) continue
      this.#open.delete(key)
      serving.unlisten(socket.fd)
      close(socket.fd)
    }
    const refused: string[] = []
    for (const [key, { address, port }] of wanted) {
      if (this.#open.has(key)) continue
      try {
        const fd = openSocket(address, port)
        this.#open.set(key, { address, port, fd })
        serving.listen(fd)
      } catch (error) {
        if (refused.push(key) === 1) log.debug({ err: error }, 'an address is not listened on')
      }
    }
    if (wanted.size >= LISTENERS_MAX)
      log.error({ protocol, max: LISTENERS_MAX }, 'too many addresses and ports')
    this.#tellRefused(refused)
  }

  /** Once, not at each attempt. */
  #tellRefused(refused: readonly string[]): void {
    const text = refused.join(', ')
    if (text !== '' && text !== this.#refused) {
      const { protocol, log } = this.#options
      log.warn(
        { protocol, addresses: refused.slice(0, 20), count: refused.length },
        'not listened on',
      )
    }
    this.#refused = text
    if (text !== '') this.#arm(RETRY_MS)
  }

  #arm(waitMs: number): void {
    const { clock } = this.#options
    const dueMs = clock.monotonicMs() + waitMs
    if (dueMs >= this.#dueMs) return
    this.#timer?.[Symbol.dispose]()
    this.#dueMs = dueMs
    this.#timer = clock.setTimer(() => {
      this.#dueMs = Number.POSITIVE_INFINITY
      this.look()
    }, waitMs)
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
    this.#dueMs = Number.NEGATIVE_INFINITY
    for (const { fd } of this.#open.values()) {
      this.#options.serving.unlisten(fd)
      close(fd)
    }
    this.#open.clear()
  }
}
