import type { Clock, Log } from '#base'
import {
  type EdgeFlowRecord,
  type HandedFlows,
  NO_FLOWS,
  type WorkerFlowRecord,
} from '../datagrams/handed-flows.ts'
import { ProxyError } from '../errors.ts'
import { EventLoop } from '../net/event-loop.ts'
import { close } from '../net/libc.ts'
import { connectLocally } from '../net/local-messages.ts'
import { HandoverLine } from './handover-line.ts'
import type { HeldSocket, SocketUse } from './handover-message.ts'
import { SharedLoads, type SharedLoadsOptions } from './shared-loads.ts'

/** A process that runs answers at once; one that is silent for so long is ill. */
const ANSWER_MS_MAX = 5_000

type Heard = 'all' | 'ended' | 'silent'

/** The process that served before this one, if there is any: its sockets are this one's too. */
export class Predecessor implements Disposable {
  readonly #clock: Clock
  readonly #log: Log
  #sockets: HeldSocket[] = []
  #loop: EventLoop | undefined
  #line: HandoverLine | undefined
  #next = Promise.withResolvers<Heard>()
  #edge: EdgeFlowRecord[] = []
  #worker: WorkerFlowRecord[] = []
  #sharesLoads = false
  #loads: SharedLoads | undefined

  private constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /**
   * Asks the process that runs for its sockets. Where there is none, or none that answers, this one begins anew.
   * @param path the same as of its HandoverDoor
   * @throws ProxyError proxy.takeover_failed: it hung up, for another process is taking over from it
   */
  static async meet(
    path: string,
    { clock, log }: { clock: Clock; log: Log },
  ): Promise<Predecessor> {
    const predecessor = new Predecessor(clock, log)
    const fd = connectLocally(path)
    if (fd < 0) return predecessor
    predecessor.#open(fd)
    const heard = await predecessor.#hear()
    if (heard === 'ended') {
      predecessor[Symbol.dispose]()
      throw new ProxyError('proxy.takeover_failed', {
        what: 'the process that runs gave only a part of its sockets',
        values: { path },
        fix: 'it is replaced by another one already, or has just ended: try again',
      })
    }
    if (heard === 'silent') predecessor[Symbol.dispose]()
    else
      log.info({ sockets: predecessor.#sockets.length }, 'took the sockets of the process before')
    return predecessor
  }

  /** Takes one of its sockets: the descriptor is the caller's. */
  take(use: SocketUse, address = '', port = 0): number | undefined {
    const isIt = (one: HeldSocket) =>
      one.use === use && one.address === address && one.port === port
    const found = this.#sockets.find(isIt)
    if (found === undefined) return undefined
    this.#sockets = this.#sockets.filter((one) => one !== found)
    return found.fd
  }

  /** Takes all of a kind. */
  takeAll(use: SocketUse): HeldSocket[] {
    const found = this.#sockets.filter((one) => one.use === use)
    this.#sockets = this.#sockets.filter((one) => one.use !== use)
    return found
  }

  /** Limits count from now on what it carries as well, until it ends. Before this process takes much in. @returns ends it */
  shareLoads(options: Omit<SharedLoadsOptions, 'clock'>): Disposable {
    if (this.#line !== undefined && this.#sharesLoads)
      this.#loads = new SharedLoads(this.#line, { ...options, clock: this.#clock })
    return { [Symbol.dispose]: () => this.#endLoads() }
  }

  /** This process serves, all but UDP. @returns conversations of UDP that go on here; none when it says nothing in time */
  async replaced(): Promise<HandedFlows> {
    if (this.#line === undefined) return NO_FLOWS
    this.#next = Promise.withResolvers()
    this.#line.say({ type: 'serving' })
    const heard = await this.#hear()
    // By either it knows that all has come.
    if (this.#loads === undefined) this.#line.close()
    else this.#line.say({ type: 'taken' })
    return heard === 'all' ? { edge: this.#edge, worker: this.#worker } : NO_FLOWS
  }

  #open(fd: number): void {
    this.#loop = new EventLoop((err) => this.#log.error({ err }, 'a takeover broke by a bug'))
    this.#line = new HandoverLine(this.#loop, fd, {
      said: (message, descriptors) => {
        if (message.type === 'sockets') {
          for (const [index, descriptor] of descriptors.entries()) {
            const name = message.sockets[index]
            if (name === undefined) close(descriptor)
            else this.#sockets.push({ ...name, fd: descriptor })
          }
          this.#sharesLoads ||= message.sharesLoads === true
          if (message.isLast) this.#next.resolve('all')
        } else if (message.type === 'loads') {
          this.#loads?.heard(message.loads)
        } else if (message.type === 'flows') {
          this.#edge.push(...message.edge)
          this.#worker.push(...message.worker)
          if (message.isLast) this.#next.resolve('all')
        }
      },
      ended: () => {
        this.#endLoads()
        this.#next.resolve('ended')
      },
    })
  }

  async #hear(): Promise<Heard> {
    const { promise, resolve } = this.#next
    using _late = this.#clock.setTimer(() => resolve('silent'), ANSWER_MS_MAX)
    const heard = await promise
    if (heard === 'silent')
      this.#log.warn({ afterMs: ANSWER_MS_MAX }, 'the process that runs says nothing')
    return heard
  }

  #endLoads(): void {
    this.#loads?.[Symbol.dispose]()
    this.#loads = undefined
  }

  /** This process has taken what it wants, and goes on to hear of loads in its own loop. */
  taken(loop: EventLoop): void {
    this.#line?.moveTo(loop)
    this.#close()
  }

  #close(): void {
    this.#loop?.[Symbol.dispose]()
    this.#loop = undefined
    for (const { fd } of this.#sockets) close(fd)
    this.#sockets = []
  }

  [Symbol.dispose](): void {
    this.#endLoads()
    this.#line?.close()
    this.#line = undefined
    this.#close()
  }
}
