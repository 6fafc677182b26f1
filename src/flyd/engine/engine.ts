import { type Clock, firstOf, type Log, type Random, startDeadline, ulidGenerator } from '#base'
import { type Action, afterFailure, decide } from './decide.ts'
import type { Definition, Step } from './definition.ts'
import { idAfter } from './id-after.ts'
import type { Ledger, Transaction } from './ledger.ts'
import { type Entry, fold, type Outcome, type Run } from './run.ts'
import { entryKey, readActiveRuns, readPastIds, runKey } from './run-log.ts'

export interface EngineOptions {
  readonly ledger: Ledger
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly definitions: readonly Definition[]
  /** Finished runs that are remembered. @default 1,000 */
  readonly retained?: number
}

export interface RunRequest {
  readonly kind: string
  readonly resource: string
  readonly input: unknown
  readonly steps: readonly string[]
}

/** A run of this process. `abort` ends the act under way. */
interface Live {
  run: Run
  entryCount: number
  abort: AbortController
}

/** The runs of one resource that have not ended: one acts, and at most one waits for its end. */
interface Slot {
  active: Live
  next: Live | undefined
  isDriven: boolean
}

const RETAINED = 1_000
/** Of one run that has not ended, before they become one. */
const ENTRIES_STORED_MAX = 256
/** How long an act may go on after its signal aborted, before the run goes on without it. */
const GRACE_MS = 5_000

/**
 * Runs state machines: logs each step before it acts, repeats it, undoes it, and goes on after a crash from
 * what the log says. What is next is decided by decide.ts from the run alone; here are only its hands.
 *
 * One run of a resource acts at a time. The last one that was accepted wins: it takes the place of another
 * that waits, and cancels the one that acts if that allows it.
 */
export class Engine {
  readonly #options: EngineOptions
  readonly #definitions = new Map<string, Definition>()
  readonly #slots = new Map<string, Slot>()
  readonly #past: string[]
  readonly #newId: () => string
  readonly #stop = new AbortController()
  readonly #idle = new Set<() => void>()
  #isStarted = false
  #lastId: string | undefined

  constructor(options: EngineOptions) {
    this.#options = options
    this.#newId = ulidGenerator(options)
    for (const definition of options.definitions) this.#definitions.set(definition.kind, definition)
    this.#past = readPastIds(options.ledger.store)
    this.#lastId = this.#past.at(-1)
    for (const { run, entryCount } of readActiveRuns(options.ledger.store)) {
      this.#enqueue({ run, entryCount, abort: new AbortController() })
      if (this.#lastId === undefined || run.id > this.#lastId) this.#lastId = run.id
    }
  }

  /** Goes on with what the log says is unfinished. Before, runs are only accepted. */
  start(): void {
    this.#isStarted = true
    for (const slot of this.#slots.values()) this.#kick(slot)
  }

  /** Ends all acts where they are; the next process goes on with them. */
  stop(): void {
    this.#stop.abort(new Error('flyd ends'))
    for (const { active } of this.#slots.values()) active.abort.abort(this.#stop.signal.reason)
  }

  /** Runs that have not ended. */
  runs(): Run[] {
    const slots = [...this.#slots.values()]
    return slots.flatMap(({ active, next }) => [active.run, ...(next ? [next.run] : [])])
  }

  isBusy(resource: string): boolean {
    return this.#slots.has(resource)
  }

  /** The last accepted run of a resource that has not ended. */
  latest(resource: string): Run | undefined {
    const slot = this.#slots.get(resource)
    return (slot?.next ?? slot?.active)?.run
  }

  /** Resolves when nothing runs. For tests and for the end of a process. */
  async idle(): Promise<void> {
    while (this.#slots.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#idle.add(resolve)
      await promise
    }
  }

  /** Part of a transaction; the run begins when that is durable. */
  accept(transaction: Transaction, request: RunRequest): Run {
    if (!this.#definitions.has(request.kind))
      throw new TypeError(`no state machine ${request.kind}`)
    const id = idAfter(this.#lastId, this.#newId())
    this.#lastId = id
    const live: Live = { run: undefined as never, entryCount: 0, abort: new AbortController() }
    const entry: Entry = { type: 'accepted', atMs: this.#nowMs(), id, ...request }
    this.#append(transaction, live, [entry])
    const slot = this.#supersede(transaction, live)
    transaction.after(() => this.#kick(slot))
    return live.run
  }

  /** Undoes a run that acts. False: it has turned already, ended, or come too far to be undone. */
  async cancel(id: string, why = 'cancelled'): Promise<boolean> {
    const live = [...this.#slots.values()]
      .map(({ active }) => active)
      .find((one) => one.run.id === id)
    if (live === undefined || live.run.way === 'back' || this.#isTooFar(live.run)) return false
    await this.#options.ledger.transact((transaction) => this.#turn(transaction, live, why))
    return true
  }

  #isTooFar({ kind, steps, at, hasBegun }: Run): boolean {
    const begun = steps.slice(0, hasBegun ? at + 1 : at)
    const known = this.#definition(kind)?.steps
    return begun.some((step) => known?.[step]?.isOneWay === true)
  }

  #nowMs = (): number => this.#options.clock.nowMs()

  #supersede(transaction: Transaction, live: Live): Slot {
    const slot = this.#slots.get(live.run.resource)
    if (slot === undefined) return this.#enqueue(live)
    const { active, next } = slot
    slot.next = live
    if (next !== undefined) this.#end(transaction, next, 'superseded', false)
    const isInterrupted = this.#definition(active.run.kind)?.isInterruptedBy(live.run.kind)
    if (isInterrupted && active.run.way === 'forward') {
      this.#turn(transaction, active, `superseded by ${live.run.kind}`)
    }
    return slot
  }

  #enqueue(live: Live): Slot {
    const known = this.#slots.get(live.run.resource)
    if (known !== undefined) {
      known.next = live
      return known
    }
    const slot: Slot = { active: live, next: undefined, isDriven: false }
    this.#slots.set(live.run.resource, slot)
    return slot
  }

  #turn(transaction: Transaction, live: Live, why: string): void {
    this.#append(transaction, live, [
      { type: 'turned', atMs: this.#nowMs(), reason: 'cancelled', error: why },
    ])
    transaction.after(() => live.abort.abort(new Error(why)))
  }

  #kick(slot: Slot): void {
    if (!this.#isStarted || slot.isDriven || this.#stop.signal.aborted) return
    slot.isDriven = true
    this.#drive(slot).catch((error: unknown) => {
      this.#options.log.error({ err: error, run: slot.active.run.id }, 'a state machine stopped')
    })
  }

  /** Until the resource has no run, or this process ends. */
  async #drive(slot: Slot): Promise<void> {
    while (this.#slots.get(slot.active.run.resource) === slot) {
      if (this.#stop.signal.aborted) return
      const action = decide(slot.active.run, this.#nowMs())
      await this.#perform(slot, action)
    }
  }

  async #perform(slot: Slot, action: Action): Promise<void> {
    const live = slot.active
    if (action.type === 'finish') {
      await this.#transact((transaction) => this.#finish(transaction, slot, action.outcome))
    } else if (action.type === 'wait') {
      await this.#wait(live, action.untilMs)
    } else {
      const isLogged = live.run.hasBegun && live.run.tries === 0
      if (!isLogged) await this.#transact((transaction) => this.#begin(transaction, live))
      await this.#try(live)
    }
  }

  #transact = <T>(body: (transaction: Transaction) => T): Promise<T> =>
    this.#options.ledger.transact(body)

  #begin(transaction: Transaction, live: Live): void {
    const { steps, at, way } = live.run
    const step = steps[at]
    if (step === undefined) return
    this.#append(transaction, live, [{ type: 'began', atMs: this.#nowMs(), step, way }])
  }

  /** One try of the step at hand, with what came of it in the log, and the next step begun. */
  async #try(live: Live): Promise<void> {
    const { run } = live
    const name = run.steps[run.at]
    if (name === undefined) return
    const step = this.#definition(run.kind)?.steps[name]
    const attempt = step === undefined ? this.#skip(run, name) : this.#attempt(live, step)
    const settled = await attempt
    if (this.#stop.signal.aborted) return
    if (live.run.at !== run.at || live.run.way !== run.way) return this.#renew(live)
    await this.#transact((transaction) => {
      if (live.run.at !== run.at || live.run.way !== run.way) return
      this.#note(transaction, live, step, settled)
    })
    this.#renew(live)
  }

  /** Cancelled acts have used up their signal. */
  #renew(live: Live): void {
    if (live.abort.signal.aborted && !this.#stop.signal.aborted) live.abort = new AbortController()
  }

  #note(transaction: Transaction, live: Live, step: Step | undefined, settled: Settled): void {
    const { run } = live
    const name = run.steps[run.at] ?? ''
    const nowMs = this.#nowMs()
    if ('error' in settled) {
      const rule = step ?? { deadlineMs: 0, triesMax: 1 }
      const { random } = this.#options
      this.#append(transaction, live, afterFailure(run, settled.error, { rule, nowMs, random }))
      return
    }
    const { result } = settled
    const entry: Entry = { type: 'done', atMs: nowMs, step: name }
    this.#append(transaction, live, [result === undefined ? entry : { ...entry, result }])
    if (run.way === 'forward') step?.done?.(transaction, live.run, result)
    this.#begin(transaction, live)
  }

  /** A step that this program does not know: an older one accepted the run. */
  async #skip(run: Run, step: string): Promise<Settled> {
    const { id, kind } = run
    this.#options.log.warn({ run: id, kind, step }, 'this program has no such step: passed over')
    return {}
  }

  async #attempt(live: Live, step: Step): Promise<Settled> {
    const { run } = live
    const { clock } = this.#options
    const operation = `${run.kind}: ${run.steps[run.at]}`
    using deadline = startDeadline(operation, step.deadlineMs, { signal: live.abort.signal, clock })
    const { signal } = deadline
    const act = async () => {
      if (run.way === 'back') return step.undo?.(run, signal)
      return step.act(run, signal)
    }
    const settled = act().then(
      (result): Settled => (result === undefined ? {} : { result }),
      (error: unknown): Settled => ({ error: signal.aborted ? signal.reason : error }),
    )
    using hung = hungAct(signal, clock)
    return await firstOf(settled, hung.settled)
  }

  async #wait(live: Live, untilMs: number): Promise<void> {
    const ms = Math.max(0, untilMs - this.#nowMs())
    const { signal } = live.abort
    try {
      await this.#options.clock.sleep(ms, signal)
    } catch (error) {
      if (!signal.aborted) throw error
      this.#renew(live)
    }
  }

  #finish(transaction: Transaction, slot: Slot, outcome: Outcome): void {
    const { active, next } = slot
    const { resource } = active.run
    if (next === undefined) this.#slots.delete(resource)
    else slot.active = next
    slot.next = undefined
    this.#end(transaction, active, outcome, next === undefined)
    transaction.after(() => this.#tellIdle())
  }

  /** Compacts the log of a run into one entry and tells its kind. */
  #end(transaction: Transaction, live: Live, outcome: Outcome, isLatest: boolean): void {
    live.run = fold(live.run, { type: 'finished', atMs: this.#nowMs(), outcome })
    const { run } = live
    for (let at = 0; at < live.entryCount; at += 1) transaction.remove(entryKey(run.id, at))
    transaction.put(runKey(run.id), run)
    this.#past.push(run.id)
    const { retained = RETAINED } = this.#options
    while (this.#past.length > retained) {
      const oldest = this.#past.shift()
      if (oldest !== undefined) transaction.remove(runKey(oldest))
    }
    this.#definition(run.kind)?.finished(transaction, { ...run, outcome }, isLatest)
  }

  #append(transaction: Transaction, live: Live, entries: readonly Entry[]): void {
    for (const entry of entries) {
      live.run = fold(live.run, entry)
      transaction.put(entryKey(live.run.id, live.entryCount), entry)
      live.entryCount += 1
    }
    if (live.entryCount >= ENTRIES_STORED_MAX) this.#compact(transaction, live)
  }

  #compact(transaction: Transaction, live: Live): void {
    for (let at = 1; at < live.entryCount; at += 1) {
      transaction.remove(entryKey(live.run.id, at))
    }
    const entry: Entry = { type: 'snapshot', atMs: this.#nowMs(), run: live.run }
    transaction.put(entryKey(live.run.id, 0), entry)
    live.entryCount = 1
  }

  #definition(kind: string): Definition | undefined {
    return this.#definitions.get(kind)
  }

  #tellIdle(): void {
    if (this.#slots.size > 0) return
    for (const resolve of this.#idle) resolve()
    this.#idle.clear()
  }
}

/** What an act comes to that does not heed its signal. */
function hungAct(signal: AbortSignal, clock: Clock) {
  const { promise, resolve } = Promise.withResolvers<Settled>()
  let timer: Disposable | undefined
  const onAbort = () => {
    timer = clock.setTimer(() => resolve({ error: signal.reason }), GRACE_MS)
  }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return {
    settled: promise,
    [Symbol.dispose]() {
      signal.removeEventListener('abort', onAbort)
      timer?.[Symbol.dispose]()
    },
  }
}

type Settled = { readonly result?: unknown } | { readonly error: unknown }
