import assert from 'node:assert/strict'
import { type Backoff, backoffMs, type Random } from '#base'

/** How a process is kept running. All times are milliseconds. */
export interface Policy {
  /** `always`: also after a clean exit. `on-failure`: not after exit code 0. @default always */
  readonly restart: 'always' | 'on-failure' | 'never'
  /** Wait before a restart, by failures in a row. */
  readonly backoff: Backoff
  /** A process that was ready for this long has its failures forgotten. */
  readonly stableMs: number
  /** Failures in a row after which it is given up. Infinity: never. */
  readonly failuresMax: number
  /** From start to ready; a process that takes longer has failed. */
  readonly startDeadlineMs: number
  /** Between two looks at its health. */
  readonly probePeriodMs: number
  /** Looks that failed in a row after which a ready process is ended and started anew. */
  readonly probeFailuresMax: number
  /** From the stop signal to SIGKILL. */
  readonly stopGraceMs: number
}

export const DEFAULT_POLICY: Policy = {
  restart: 'always',
  backoff: { baseMs: 200, capMs: 30_000 },
  stableMs: 30_000,
  failuresMax: Infinity,
  startDeadlineMs: 30_000,
  probePeriodMs: 1_000,
  probeFailuresMax: 3,
  stopGraceMs: 10_000,
}

export type LifecycleState = 'waiting' | 'starting' | 'ready' | 'ending' | 'ended' | 'failed'

export type LifecycleEvent =
  | { readonly type: 'startRequested' }
  | { readonly type: 'adopted' }
  | { readonly type: 'exited'; readonly code: number | null }
  | { readonly type: 'probed'; readonly isHealthy: boolean }
  | { readonly type: 'stopRequested' }
  | { readonly type: 'retireRequested' }
  | { readonly type: 'clockTicked' }

export type LifecycleAction =
  | { readonly type: 'spawn' }
  | { readonly type: 'probe' }
  | { readonly type: 'signal'; readonly kind: 'stop' | 'kill' }
  | { readonly type: 'enter'; readonly state: LifecycleState }

/**
 * Decides when a process is started, looked at, ended and started anew. No I/O and no clock of its
 * own. At most one child exists at any time: `spawn` comes only when none lives. One that lives already is `adopted`.
 *
 * waiting -> starting -> ready -> (exit or ill health) -> waiting -> ... ; failed when given up.
 * A stop leads to ended, by way of ending while a child lives. One that is retired lives on until it ends by itself.
 */
export class Lifecycle {
  readonly #policy: Policy
  readonly #random: Random
  #state: LifecycleState = 'ended'
  #isWanted = false
  #hasChild = false
  #failures = 0
  #probeFailures = 0
  #sinceMs = 0
  #probeAtMs = Infinity
  #deadlineMs = Infinity

  constructor(policy: Policy, random: Random) {
    assert(policy.failuresMax >= 1 && policy.probeFailuresMax >= 1)
    this.#policy = policy
    this.#random = random
  }

  get state(): LifecycleState {
    return this.#state
  }

  /** When the shell must send `clockTicked` at the latest. */
  get wakeAtMs(): number {
    return Math.min(this.#probeAtMs, this.#deadlineMs)
  }

  step(event: LifecycleEvent, nowMs: number): LifecycleAction[] {
    switch (event.type) {
      case 'startRequested':
        return this.#start(nowMs)
      case 'adopted':
        return this.#adopted(nowMs)
      case 'exited':
        return this.#exited(event.code, nowMs)
      case 'probed':
        return this.#probed(event.isHealthy, nowMs)
      case 'stopRequested':
        return this.#stop(nowMs)
      case 'retireRequested':
        return this.#retire(nowMs)
      case 'clockTicked':
        return this.#tick(nowMs)
    }
  }

  #start(nowMs: number): LifecycleAction[] {
    this.#isWanted = true
    if (this.#state !== 'ended' && this.#state !== 'failed') return []
    this.#failures = 0
    return this.#spawn(nowMs)
  }

  #adopted(nowMs: number): LifecycleAction[] {
    assert(this.#state === 'ended', 'it was started already')
    this.#isWanted = true
    return [this.#begin(nowMs)]
  }

  #spawn(nowMs: number): LifecycleAction[] {
    return [this.#begin(nowMs), { type: 'spawn' }]
  }

  #begin(nowMs: number): LifecycleAction {
    assert(!this.#hasChild, 'a child lives already')
    this.#hasChild = true
    this.#probeFailures = 0
    this.#probeAtMs = nowMs
    this.#deadlineMs = nowMs + this.#policy.startDeadlineMs
    return this.#enter('starting', nowMs)
  }

  #exited(code: number | null, nowMs: number): LifecycleAction[] {
    assert(this.#hasChild, 'a child ended that never began')
    this.#hasChild = false
    this.#probeAtMs = Infinity
    this.#deadlineMs = Infinity
    if (!this.#isWanted) return [this.#enter('ended', nowMs)]
    const wasStable = this.#state === 'ready' && nowMs - this.#sinceMs >= this.#policy.stableMs
    const isClean = code === 0 && this.#state !== 'ending'
    if (isClean && this.#policy.restart !== 'always') return [this.#enter('ended', nowMs)]
    this.#failures = wasStable ? 1 : this.#failures + 1
    if (this.#policy.restart === 'never' || this.#failures >= this.#policy.failuresMax) {
      return [this.#enter('failed', nowMs)]
    }
    this.#deadlineMs = nowMs + backoffMs(this.#failures - 1, this.#policy.backoff, this.#random)
    return [this.#enter('waiting', nowMs)]
  }

  #probed(isHealthy: boolean, nowMs: number): LifecycleAction[] {
    if (this.#state !== 'starting' && this.#state !== 'ready') return [] // it came too late
    this.#probeAtMs = nowMs + this.#policy.probePeriodMs
    if (isHealthy) {
      this.#probeFailures = 0
      if (this.#state === 'ready') return []
      this.#deadlineMs = Infinity
      return [this.#enter('ready', nowMs)]
    }
    if (this.#state === 'starting') return []
    this.#probeFailures += 1
    return this.#probeFailures < this.#policy.probeFailuresMax ? [] : this.#end(nowMs)
  }

  #stop(nowMs: number): LifecycleAction[] {
    this.#isWanted = false
    if (this.#hasChild) return this.#state === 'ending' ? [] : this.#end(nowMs)
    this.#deadlineMs = Infinity
    return this.#state === 'ended' ? [] : [this.#enter('ended', nowMs)]
  }

  #retire(nowMs: number): LifecycleAction[] {
    if (!this.#hasChild) return this.#stop(nowMs)
    this.#isWanted = false
    return []
  }

  #end(nowMs: number): LifecycleAction[] {
    this.#probeAtMs = Infinity
    this.#deadlineMs = nowMs + this.#policy.stopGraceMs
    return [this.#enter('ending', nowMs), { type: 'signal', kind: 'stop' }]
  }

  #tick(nowMs: number): LifecycleAction[] {
    if (nowMs >= this.#deadlineMs) return this.#late(nowMs)
    if (nowMs < this.#probeAtMs) return []
    this.#probeAtMs = Infinity // until the answer is there
    return [{ type: 'probe' }]
  }

  #late(nowMs: number): LifecycleAction[] {
    this.#deadlineMs = Infinity
    switch (this.#state) {
      case 'waiting':
        return this.#spawn(nowMs)
      case 'starting':
        return this.#end(nowMs)
      case 'ending':
        return [{ type: 'signal', kind: 'kill' }]
      case 'ready':
      case 'ended':
      case 'failed':
        return assert.fail(`nothing is due in state ${this.#state}`)
    }
  }

  #enter(state: LifecycleState, nowMs: number): LifecycleAction {
    this.#state = state
    this.#sinceMs = nowMs
    return { type: 'enter', state }
  }
}
