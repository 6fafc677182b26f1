import type { Clock, Random } from '#base'
import { type AsyncDisk, asyncDisk } from './async-disk.ts'
import { type Disk, NodeDisk, SimDisk } from './disk.ts'
import { CrashSignal, SimError } from './errors.ts'
import type { CrashKind, Incarnation, Kernel } from './kernel.ts'
import type { DatagramHandler, Host, Network } from './network.ts'
import { MachineTime, NodeClock, scheduleFor } from './sim-clock.ts'
import type { Stream, StreamAcceptor, StreamHandlers, StreamTransport } from './stream.ts'
import { NOBODY, Trace } from './timeline.ts'

/** The world as one life of a node sees it. After a crash every call of it throws CrashSignal. */
export interface NodeEnv {
  readonly id: string
  readonly clock: Clock
  /** A sub-stream of this node and this life. */
  readonly random: Random
  readonly network: NodeNetwork
  readonly disk: Disk
  /** The same disk for code that awaits it; needs `runAsync`. */
  readonly asyncDisk: AsyncDisk
  /** A line of the timeline. `detail` is printed when the run fails, not before. */
  log(event: string, detail?: unknown): void
  /** Ends this process by its own will; `restartAfterMs` of the node brings it back. */
  exit(reason: string): never
}

export interface NodeNetwork {
  /** Unreliable. @throws SystemFault EMSGSIZE above the MTU. */
  send(to: string, payload: unknown, port?: number): void
  /** Receives datagrams. @throws SystemFault EADDRINUSE */
  bind(handler: DatagramHandler, port?: number): Disposable
  connect(to: string, handlers: StreamHandlers, port?: number): Stream
  /** @throws SystemFault EADDRINUSE */
  listen(accept: StreamAcceptor, port?: number): Disposable
}

/** Starts a node's code. Runs at every start; what it returns is `node.app` of that life. */
export type Boot<App> = (env: NodeEnv) => App | Promise<App>

export interface NodeOptions {
  /** For latency matrices. */
  readonly region?: string
  /** A supervisor: after `exit`, or a throw under `whenThrows: 'crash'`. @default stays down */
  readonly restartAfterMs?: number
  /** What an error that the node's code lets escape means. @default 'fail', the run fails */
  readonly whenThrows?: 'fail' | 'crash'
  readonly skewMs?: number
  readonly driftRatio?: number
}

/** What the pieces of a node are made of. */
export interface NodeContext {
  readonly kernel: Kernel
  readonly network: Network
  readonly streams: StreamTransport
  /** Where errors of a boot that was awaited go. */
  readonly onThrow: (node: SimNode<unknown>, error: unknown) => void
}

/** A machine: its clock and disk live through crashes, its processes do not. */
export class SimNode<App = unknown> implements Host {
  readonly id: string
  readonly index: number
  readonly region: string
  readonly time = new MachineTime()
  readonly disk: SimDisk
  readonly options: NodeOptions
  incarnation: Incarnation | null = null
  readonly #context: NodeContext
  readonly #boot: Boot<App>
  #app: { value: App } | null = null
  #lives = 0

  constructor(
    context: NodeContext,
    id: string,
    index: number,
    boot: Boot<App>,
    options: NodeOptions,
  ) {
    this.#context = context
    this.id = id
    this.index = index
    this.region = options.region ?? ''
    this.options = options
    this.#boot = boot
    this.disk = new SimDisk(context.kernel, id, index, (kind) => this.crash(kind))
    this.time.skewMs = options.skewMs ?? 0
    this.time.setDrift(options.driftRatio ?? 0, 0)
  }

  get isUp(): boolean {
    return this.incarnation !== null
  }

  /** Up, and its boot has returned. */
  get isReady(): boolean {
    return this.#app !== null
  }

  /** What boot returned in this life. @throws SimError sim.node_down: ask `isReady` first. */
  get app(): App {
    if (this.#app === null) {
      throw new SimError('sim.node_down', { what: 'the node is down', values: { node: this.id } })
    }
    return this.#app.value
  }

  /** Boots the node; nothing happens when it is up. */
  start(): void {
    if (this.incarnation !== null) return
    const { kernel, onThrow } = this.#context
    this.#lives += 1
    const life: Incarnation = {
      nodeId: this.id,
      nodeIndex: this.index,
      number: this.#lives,
      isAlive: true,
      resumeAtMs: 0,
      atDeath: new Set(),
    }
    this.incarnation = life
    kernel.record(Trace.boot, this.index, NOBODY, `life ${life.number}`)
    const before = kernel.running
    kernel.running = life
    try {
      const app = this.#boot(envOf(this.#context, this, life))
      if (app instanceof Promise) this.#await(app, life)
      else if (life.isAlive) this.#app = { value: app }
    } catch (error) {
      onThrow(this, error)
    } finally {
      kernel.running = before
    }
  }

  /** Nothing of this life goes on. See CrashKind for what peers and disk notice of it. */
  crash(kind: CrashKind = 'power'): void {
    const life = this.incarnation
    if (life === null) return
    const { kernel } = this.#context
    kernel.record(Trace.crash, this.index, NOBODY, kind)
    kernel.deathCount += 1
    life.isAlive = false
    this.incarnation = null
    this.#app = null
    for (const act of [...life.atDeath]) act(kind)
    if (kind === 'power') this.disk.losePower()
  }

  /** Stops the node as SIGSTOP or a suspended machine does: events wait, nothing is lost. */
  pause(forMs: number): void {
    if (this.incarnation === null) return
    const { kernel } = this.#context
    this.incarnation.resumeAtMs = kernel.nowMs + forMs
    kernel.record(Trace.pause, this.index, NOBODY, `${forMs.toFixed(1)} ms`)
  }

  /** Ends a process that failed, and brings the next one when a supervisor is configured. */
  exit(): void {
    this.crash('process')
    const { restartAfterMs } = this.options
    if (restartAfterMs === undefined) return
    const { kernel } = this.#context
    const supervisor: Incarnation = { ...supervisorLife, nodeId: this.id, nodeIndex: this.index }
    scheduleFor(kernel, supervisor, restartAfterMs, () => this.start())
  }

  #await(app: Promise<App>, life: Incarnation): void {
    app.then(
      (value) => {
        if (life.isAlive) this.#app = { value }
      },
      (error: unknown) => {
        if (life.isAlive) this.#context.onThrow(this, error)
      },
    )
  }
}

const supervisorLife = { number: 0, isAlive: true, resumeAtMs: 0, atDeath: new Set<never>() }

function envOf<App>(context: NodeContext, node: SimNode<App>, life: Incarnation): NodeEnv {
  const { kernel } = context
  const disk = new NodeDisk(node.disk, life)
  let promised: AsyncDisk | undefined
  return {
    id: node.id,
    clock: new NodeClock(kernel, life, node.time),
    random: kernel.stream('node', node.id, life.number),
    network: networkOf(context, life),
    disk,
    get asyncDisk() {
      promised ??= asyncDisk(kernel, life, disk)
      return promised
    },
    log(event, detail) {
      if (!life.isAlive) return
      kernel.hash.mixString(event)
      kernel.record(
        Trace.log,
        node.index,
        NOBODY,
        detail === undefined ? event : { [event]: detail },
      )
    },
    exit(reason) {
      if (life.isAlive) {
        kernel.record(Trace.log, node.index, NOBODY, `exit: ${reason}`)
        node.exit()
      }
      throw new CrashSignal(node.id)
    },
  }
}

function networkOf({ network, streams }: NodeContext, life: Incarnation): NodeNetwork {
  const { nodeIndex, nodeId } = life
  const fence = () => {
    if (!life.isAlive) throw new CrashSignal(nodeId)
  }
  return {
    send(to, payload, port = 0) {
      fence()
      network.send(nodeIndex, to, payload, port)
    },
    bind(handler, port = 0) {
      fence()
      network.bind(nodeIndex, port, handler)
      const unbind = () => {
        if (life.atDeath.delete(unbind)) network.unbind(nodeIndex, port)
      }
      life.atDeath.add(unbind)
      return { [Symbol.dispose]: unbind }
    },
    connect(to, handlers, port = 0) {
      fence()
      return streams.connect(life, to, port, handlers)
    },
    listen(accept, port = 0) {
      fence()
      return streams.listen(life, port, accept)
    },
  }
}
