import { createServer, type Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Clock, errorCode, type Log } from '#base'
import { LISTEN_BACKLOG, localAddress, openListener } from '../net/socket.ts'
import type { ServiceEntry } from '../routing-table/app-tree.ts'
import { STATICS_PORT } from '../statics/static-order.ts'
import { PING_MS } from './link-core.ts'
import { LinkSocket } from './link-socket.ts'
import { ResetReason, type StreamHandlers } from './link-stream.ts'
import { MachineConnections } from './machine-connections.ts'
import type { OpenFacts } from './open-facts.ts'
import type { Admission, WorkerGate } from './worker-gate.ts'

export interface BackhaulServerOptions {
  readonly ownHostId: string
  readonly gate: Pick<WorkerGate, 'admit' | 'release'>
  readonly clock: Clock
  readonly log: Log
  /** A connection to a machine's files: see statics-server.ts. Absent: requests for them go to the app. */
  readonly openFiles?: (machine: string) => Duplex
  /** A machine's connection must stand after so long. @default 3,000 */
  readonly connectMsMax?: number
}

const DRAIN_LOOK_MS = 50

/** The worker's end of the backhaul: streams of edges, each to a connection of a machine. */
export class BackhaulServer {
  readonly #options: BackhaulServerOptions
  readonly #server: Server
  readonly #links = new Set<LinkSocket>()
  readonly connections: MachineConnections
  #listening: number | undefined
  #ticker: Disposable | undefined

  constructor(options: BackhaulServerOptions) {
    this.#options = options
    this.connections = new MachineConnections(options.clock)
    this.#server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) =>
      this.#accepted(socket),
    )
    this.#tick()
  }

  /**
   * @param inherited a socket that listens there already: it is this one's from now on
   * @throws ProxyError proxy.listen_failed
   */
  async listen(port: number, address: string, inherited?: number): Promise<number> {
    const fd = inherited ?? openListener(address, port)
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ fd, backlog: LISTEN_BACKLOG }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    this.#listening = fd
    return localAddress(fd).port
  }

  /** What a process that follows may listen on as well. Undefined: it listens no more. */
  get listening(): number | undefined {
    return this.#listening
  }

  /** New streams go elsewhere; those that are there go on. */
  drain(): void {
    this.#listening = undefined
    this.#server.close()
    for (const { core } of this.#links) core.goAway()
  }

  /** Every edge with a link hears that a machine of this host is about to be stopped. */
  tellLeaving(machine: string): void {
    for (const { core } of this.#links) core.leaving(machine)
  }

  /**
   * After `drain`: resolves when no edge has a stream here or may still open one. At the deadline edges say goodbye on
   * WebSockets, for which they have `lingerMs`.
   */
  async drained(deadlineMs: number, lingerMs: number): Promise<void> {
    await this.#emptied(deadlineMs)
    for (const { core } of this.#links) core.leaveStreams()
    await this.#emptied(lingerMs)
  }

  async #emptied(deadlineMs: number): Promise<void> {
    const { clock } = this.#options
    const endMs = clock.monotonicMs() + deadlineMs
    while (this.#links.size > 0 && clock.monotonicMs() < endMs) await clock.sleep(DRAIN_LOOK_MS)
  }

  async close(): Promise<void> {
    this.#ticker?.[Symbol.dispose]()
    this.connections.close()
    for (const link of this.#links) link.close()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #accepted(socket: Socket): void {
    const { ownHostId, clock, log } = this.#options
    let peer = ''
    const link: LinkSocket = new LinkSocket({
      socket,
      isOpener: false,
      ownHostId,
      clock,
      handlers: {
        hello: (hostId) => {
          peer = hostId
        },
        opened: (id, facts) => new WorkerStream(id, facts, link, this.#options, this.connections),
        measured: () => undefined,
        goingAway: () => undefined,
        leaving: () => undefined,
      },
      closed: (error) => {
        this.#links.delete(link)
        if (error !== undefined) log.debug({ err: error, peer }, 'a link of the backhaul ended')
      },
    })
    this.#links.add(link)
  }

  #tick(): void {
    for (const link of this.#links) link.tick()
    this.#ticker = this.#options.clock.setTimer(() => this.#tick(), PING_MS / 2)
  }
}

/** One stream from the edge and its connection to the machine. */
class WorkerStream implements StreamHandlers {
  readonly #id: number
  readonly #link: LinkSocket
  readonly #options: BackhaulServerOptions
  readonly #connections: MachineConnections
  readonly #giveUp: (() => void) | undefined
  #service: ServiceEntry | undefined
  #socket: Duplex | undefined
  readonly #isForFile: boolean
  /** Bytes that came before the connection stood: never more than the stream's window. */
  #early: Buffer[] = []
  #isAccepted = false
  #hasEdgeEnded = false
  #isReusable = false
  #hasMachineEnded = false
  #isOver = false
  #lateTimer: Disposable | undefined
  #unwrittenBytes = 0

  constructor(
    id: number,
    facts: OpenFacts,
    link: LinkSocket,
    options: BackhaulServerOptions,
    connections: MachineConnections,
  ) {
    this.#id = id
    this.#link = link
    this.#options = options
    this.#connections = connections
    this.#isForFile = facts.internalPort === STATICS_PORT && options.openFiles !== undefined
    this.#giveUp = options.gate.admit(facts, (admission) => this.#admitted(admission))
  }

  data(chunk: Buffer): void {
    if (!this.#isAccepted || this.#socket === undefined) this.#early.push(chunk)
    else this.#write(chunk)
  }

  ended(isReusable: boolean): void {
    this.#hasEdgeEnded = true
    this.#isReusable = isReusable
    if (this.#isAccepted) this.#endMachine()
  }

  reset(_reason: ResetReason): void {
    this.#finish(true)
  }

  drained(): void {
    this.#socket?.resume()
  }

  #admitted(admission: Admission): void {
    if (this.#isOver) {
      if (admission.kind === 'admitted') this.#options.gate.release(admission.service)
      return
    }
    if (admission.kind === 'refused') {
      this.#refuse(admission.code, admission.load)
      return
    }
    this.#service = admission.service
    const startMs = this.#options.clock.monotonicMs()
    const { machine, internalPort } = admission.service
    const { openFiles } = this.#options
    const socket =
      this.#isForFile && openFiles !== undefined
        ? openFiles(machine.id)
        : this.#connections.take(machine.address, internalPort)
    this.#socket = socket
    socket.on('error', (error) => this.#broke(error))
    if (!(socket instanceof Socket) || !socket.connecting) {
      this.#connected(0)
      return
    }
    const { clock, connectMsMax = 3_000 } = this.#options
    this.#lateTimer = clock.setTimer(() => this.#refuse('PC05', 0), connectMsMax)
    socket.once('connect', () => this.#connected(1 + (clock.monotonicMs() - startMs) * 1_000))
  }

  /** @param connectUs 0 alone: the connection was idle until now, and may have died of it */
  #connected(connectUs: number): void {
    const socket = this.#socket as Duplex
    const load = this.#service?.load ?? 0
    this.#lateTimer?.[Symbol.dispose]()
    this.#isAccepted = true
    this.#link.core.accept(this.#id, load, connectUs)
    socket.on('data', (chunk: Buffer) => {
      if (!this.#link.core.send(this.#id, chunk)) socket.pause()
    })
    socket.on('end', () => {
      this.#hasMachineEnded = true
      this.#link.core.end(this.#id)
      if (this.#hasEdgeEnded) this.#finish(false)
    })
    socket.on('close', () => this.#broke(undefined))
    socket.resume()
    const early = this.#early
    this.#early = []
    for (const chunk of early) this.#write(chunk)
    if (this.#hasEdgeEnded) this.#endMachine()
  }

  /** What the machine has taken may be sent again: its pace is the edge's. */
  #write(chunk: Buffer): void {
    this.#unwrittenBytes += chunk.length
    this.#socket?.write(chunk, () => {
      this.#unwrittenBytes -= chunk.length
      this.#link.core.consumed(this.#id, chunk.length)
    })
  }

  /** The edge has sent all: an exchange that is whole gives its connection back, any other half-closes it. */
  #endMachine(): void {
    const socket = this.#socket
    const isWhole = this.#isReusable && this.#unwrittenBytes === 0 && !this.#hasMachineEnded
    if (isWhole && socket instanceof Socket) {
      const service = this.#service as ServiceEntry
      this.#socket = undefined
      for (const event of ['data', 'end', 'close', 'error', 'connect']) {
        socket.removeAllListeners(event)
      }
      this.#connections.give(service.machine.address, service.internalPort, socket)
      this.#link.core.end(this.#id)
      this.#finish(false)
      return
    }
    this.#socket?.end()
    if (this.#hasMachineEnded) this.#finish(false)
  }

  #broke(error: Error | undefined): void {
    if (this.#isOver) return
    if (!this.#isAccepted) {
      this.#refuse(codeOfConnect(error), 0)
      return
    }
    if (this.#hasMachineEnded && this.#hasEdgeEnded) {
      this.#finish(false)
      return
    }
    this.#link.core.reset(this.#id, ResetReason.broken)
    this.#finish(true)
  }

  #refuse(code: string, load: number): void {
    this.#link.core.refuse(this.#id, code, load)
    this.#finish(true)
  }

  #finish(isAbort: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#early = []
    this.#lateTimer?.[Symbol.dispose]()
    this.#giveUp?.()
    // A reset, as on the client's side: an end in order would look like a client that still listens.
    const socket = this.#socket
    if (isAbort && this.#isAccepted && socket instanceof Socket) socket.resetAndDestroy()
    else if (isAbort) socket?.destroy()
    if (this.#service !== undefined) this.#options.gate.release(this.#service)
  }
}

/** The documented code of a connection that could not be made. */
function codeOfConnect(error: Error | undefined): string {
  const code = errorCode(error)
  if (code === 'ECONNREFUSED') return 'PC01'
  if (code === 'ECONNRESET') return 'PC03'
  if (code === 'ETIMEDOUT') return 'PC05'
  return 'PC06'
}
