import assert from 'node:assert/strict'
import type { Random } from '#base'
import { BrokenPromise, type Check, Checks } from './checks.ts'
import { isCrashSignal, SimError } from './errors.ts'
import { SimEvent } from './event-queue.ts'
import { SimFailure, type SimFailureCode } from './failure.ts'
import { Kernel } from './kernel.ts'
import { type FaultPlan, Nemesis, type NemesisOptions } from './nemesis.ts'
import { Network, type NetworkOptions } from './network.ts'
import { type Boot, type NodeOptions, SimNode } from './node.ts'
import { Partitions } from './partitions.ts'
import { type RunBound, RunLoop, type StopReason } from './run-loop.ts'
import { StreamTransport } from './stream.ts'
import { NOBODY, Trace } from './timeline.ts'
import { printTimeline } from './timeline-print.ts'

export interface WorldOptions {
  readonly seed: number
  readonly network?: NetworkOptions
  /** The command that a failure shows. */
  readonly replay?: string
  /** Entries that the timeline keeps, of traffic and of landmarks each. @default 2,048 */
  readonly timelineEntries?: number
}

/** How long something may take: virtual time, events, or both. */
export interface Within {
  readonly withinMs?: number
  readonly eventsMax?: number
}

const PRINTED = { landmarks: 40, traffic: 30 }

/**
 * One simulated world: nodes, network, disks, faults and promises, all from one seed.
 *
 * ```ts
 * const world = new World({ seed })
 * const node = world.addNode('n1', (env) => new Server(env))
 * world.invariant('no acknowledged write is lost', () => { ... })
 * world.startFaults({ lossRatio: 0.1, crashEveryMs: 2_000 })
 * world.run({ forMs: 60_000 })
 * world.heal()
 * world.eventually('all nodes hold equal rows', () => ..., { withinMs: 30_000 })
 * world.finish()
 * ```
 * @throws SimFailure from every method that runs or checks, at the first broken promise.
 */
export class World {
  readonly seed: number
  readonly network: Network
  readonly partitions: Partitions
  readonly #kernel: Kernel
  readonly #nodes: SimNode[] = []
  readonly #streams: StreamTransport
  readonly #checks = new Checks()
  readonly #loop: RunLoop
  readonly #replay: string
  #nemesis: Nemesis | null = null
  /** From code that no loop called: a boot by hand, a promise. Thrown at the next occasion. */
  #stashed: SimFailure | null = null

  constructor(options: WorldOptions) {
    this.seed = options.seed
    this.#kernel = new Kernel(options.seed, options.timelineEntries ?? 2_048)
    this.#replay = options.replay ?? `SEED=${options.seed}`
    this.network = new Network(this.#kernel, options.network ?? {})
    this.partitions = new Partitions(this.#kernel, this.network)
    this.#streams = new StreamTransport(this.network)
    this.#loop = new RunLoop(this.#kernel, {
      afterEvent: () => this.#afterEvent(),
      escaped: (error) => this.#escaped(error),
      timeIsStuck: () => this.fail('sim.time_stuck', 'virtual time moves on'),
    })
  }

  get nowMs(): number {
    return this.#kernel.nowMs
  }

  get eventCount(): number {
    return this.#loop.eventCount
  }

  get nodes(): readonly SimNode[] {
    return this.#nodes
  }

  /** The fingerprint of all that happened so far: equal for equal seeds. */
  get historyHash(): string {
    return this.#kernel.hash.digest()
  }

  /** A sub-stream for a concern of the scenario, apart from all others. */
  random(concern: string): Random {
    return this.#kernel.stream('scenario', concern)
  }

  /** Adds a machine and boots it. Ids are unique and are its address. */
  addNode<App>(id: string, boot: Boot<App>, options: NodeOptions = {}): SimNode<App> {
    assert(this.network.find(id) === undefined, 'node ids are unique')
    const context = {
      kernel: this.#kernel,
      network: this.network,
      streams: this.#streams,
      onThrow: (node: SimNode<unknown>, error: unknown) => this.#stash(node, error),
    }
    const node = new SimNode(context, id, this.#nodes.length, boot, options)
    this.#nodes.push(node as SimNode)
    this.network.addHost(node)
    node.start()
    return node
  }

  /** @throws SimError sim.node_unknown */
  node(id: string): SimNode {
    const node = this.#nodes.find((one) => one.id === id)
    if (node !== undefined) return node
    throw new SimError('sim.node_unknown', { what: 'no such node', values: { node: id } })
  }

  /** Runs `act` after `afterMs` of world time, outside all nodes. */
  after(afterMs: number, act: () => void): Disposable {
    const event = new WorldEvent(act)
    this.#kernel.queue.push(event, this.#kernel.nowMs + afterMs)
    return { [Symbol.dispose]: () => event.cancelIn(this.#kernel) }
  }

  /** A landmark in the timeline, from the scenario: what a client was promised, for instance. */
  log(event: string, detail?: unknown): void {
    this.#kernel.hash.mixString(event)
    const shown = detail === undefined ? event : { [event]: detail }
    this.#kernel.record(Trace.check, NOBODY, NOBODY, shown)
  }

  /** `check` throws when the promise `name` is broken; asked after every `everyEvents` events. */
  invariant(name: string, check: Check, { everyEvents = 1 } = {}): void {
    this.#checks.addInvariant(name, check, everyEvents)
  }

  /** As an invariant, but asked once, by `finish`. */
  finally(name: string, check: Check): void {
    this.#checks.addFinal(name, check)
  }

  /** For synchronous code; see run-loop.ts. */
  run(bound: RunBound): StopReason {
    this.#throwStashed()
    return this.#checked(this.#loop.run(bound))
  }

  /** For code that awaits; see run-loop.ts for what it may await. */
  async runAsync(bound: RunBound): Promise<StopReason> {
    this.#throwStashed()
    return this.#checked(await this.#loop.runAsync(bound))
  }

  /** Runs until `predicate` holds. @throws SimFailure sim.never_happened */
  eventually(name: string, predicate: () => boolean, within: Within): void {
    const reason = this.run({ ...boundOf(within), until: predicate })
    if (reason !== 'until') this.#neverHappened(name, reason)
  }

  async eventuallyAsync(name: string, predicate: () => boolean, within: Within): Promise<void> {
    const reason = await this.runAsync({ ...boundOf(within), until: predicate })
    if (reason !== 'until') this.#neverHappened(name, reason)
  }

  /** Runs until no event is left: for worlds whose nodes fall silent. */
  runUntilQuiet(within: Within): void {
    const reason = this.run(boundOf(within))
    if (reason !== 'idle') this.#neverHappened('the world falls quiet', reason)
  }

  async runUntilQuietAsync(within: Within): Promise<void> {
    const reason = await this.runAsync(boundOf(within))
    if (reason !== 'idle') this.#neverHappened('the world falls quiet', reason)
  }

  /** Lets a plan of faults loose, until `heal`. See nemesis.ts. */
  startFaults(plan: FaultPlan, options: NemesisOptions = {}): Nemesis {
    this.#nemesis?.stop()
    this.#nemesis = new Nemesis(this, this.#kernel, plan, options)
    return this.#nemesis
  }

  /** Ends all faults: links whole, disks sound, clocks right, every node up. */
  heal(): void {
    this.#nemesis?.stop()
    this.#nemesis = null
    this.partitions.healAll()
    this.#kernel.recordWorld('heal')
    for (const node of this.#nodes) {
      node.disk.heal()
      node.time.correct(this.nowMs)
      if (node.incarnation === null) node.start()
      else node.incarnation.resumeAtMs = 0
    }
  }

  /** Asks all invariants once more and the final checks. */
  finish(): void {
    this.#throwStashed()
    this.#orFail(() => this.#checks.afterRun())
    this.#orFail(() => this.#checks.atEnd(), 'sim.final_check_failed')
  }

  /** The last moments, for people. */
  timeline(limit: { landmarks: number; traffic: number } = PRINTED): string {
    const names = this.#nodes.map(({ id }) => id)
    return printTimeline(this.#kernel.timeline.entries(limit), names)
  }

  /** Ends the run. `promise` is what should have held. */
  fail(code: SimFailureCode, promise: string, cause?: unknown, values = {}): never {
    throw this.#failure(code, promise, cause, values)
  }

  #failure(code: SimFailureCode, promise: string, cause: unknown, values: object): SimFailure {
    const what = `expected: ${promise}`
    return new SimFailure(
      code,
      { what, values: { ...values }, cause },
      {
        seed: this.seed,
        replay: this.#replay,
        atMs: this.nowMs,
        eventCount: this.eventCount,
        timeline: this.timeline(),
      },
    )
  }

  #neverHappened(name: string, reason: StopReason): never {
    this.fail('sim.never_happened', name, undefined, { stoppedBy: reason })
  }

  #afterEvent(): void {
    if (this.#stashed !== null) this.#throwStashed()
    if (this.#checks.hasInvariants) this.#orFail(() => this.#checks.afterEvent())
  }

  #checked(reason: StopReason): StopReason {
    this.#throwStashed()
    this.#orFail(() => this.#checks.afterRun())
    return reason
  }

  #orFail(body: () => void, code: SimFailureCode = 'sim.invariant_broken'): void {
    try {
      body()
    } catch (error) {
      if (error instanceof BrokenPromise) this.fail(code, error.promise, error.cause)
      throw error
    }
  }

  /** An error came out of an event. What dead code throws means nothing. */
  #escaped(error: unknown): void {
    const { running } = this.#kernel
    if (isCrashSignal(error) || running?.isAlive === false) return
    if (error instanceof SimFailure && error.report !== undefined) throw error
    if (running === null) this.fail('sim.node_threw', 'the scenario does not throw', error)
    this.#stash(this.#nodes[running.nodeIndex] as SimNode, error)
    this.#throwStashed()
  }

  #stash(node: SimNode, error: unknown): void {
    if (isCrashSignal(error) || !node.isUp) return
    if (node.options.whenThrows === 'crash' && !(error instanceof SimFailure)) {
      this.#kernel.record(Trace.log, node.index, NOBODY, error)
      node.exit()
      return
    }
    const promise = `the code of ${node.id} lets no error escape`
    this.#stashed ??= this.#failure('sim.node_threw', promise, error, { node: node.id })
  }

  #throwStashed(): void {
    const failure = this.#stashed
    this.#stashed = null
    if (failure !== null) throw failure
  }
}

class WorldEvent extends SimEvent {
  readonly #act: () => void
  #isDone = false

  constructor(act: () => void) {
    super()
    this.#act = act
  }

  fire(): void {
    this.#isDone = true
    this.#act()
  }

  cancelIn(kernel: Kernel): void {
    if (!this.#isDone) kernel.queue.cancel(this)
    this.#isDone = true
  }
}

function boundOf({ withinMs, eventsMax }: Within): RunBound {
  return {
    ...(withinMs === undefined ? {} : { forMs: withinMs }),
    ...(eventsMax === undefined ? {} : { eventsMax }),
  }
}
