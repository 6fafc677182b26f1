import assert from 'node:assert/strict'
import type { Random } from '#base'
import type { CheckSpec } from './check-spec.ts'

export type CheckStatus = 'passing' | 'warning' | 'critical'

export interface ProbeResult {
  readonly status: CheckStatus
  readonly output: string
}

/** What is known of a check. */
export interface CheckReport {
  readonly status: CheckStatus
  readonly output: string
  /** Monotonic milliseconds: when the status last changed. */
  readonly changedAtMs: number
}

/** Rather soon than at the interval, until it passes for the first time: a deployment waits for it. */
const FIRST_RETRY_MS = 1_000
/** The first probe is spread over so much, so that machines that start together do not probe together. */
const FIRST_SPREAD_MS = 500
const JITTER_RATIO = 0.1
/** Failures in a row before the interval is stretched. */
const FAILURES_PATIENT = 3
const STRETCH_MAX = 4
const STRETCHED_MS_MAX = 60_000

/**
 * The course of one check of one run of a machine: when to probe, and what results mean. One failure
 * makes it critical and one success passing, as the API documents; failures in the grace period count for
 * nothing. Pure; times are monotonic milliseconds.
 */
export class CheckCourse {
  readonly spec: CheckSpec
  readonly #random: Random
  readonly #graceEndsMs: number
  #report: CheckReport
  #dueAtMs: number
  #isProbing = false
  #hasPassed = false
  #failures = 0
  #isKnown = false

  constructor(spec: CheckSpec, startedAtMs: number, random: Random) {
    this.spec = spec
    this.#random = random
    this.#graceEndsMs = startedAtMs + spec.graceMs
    this.#dueAtMs = startedAtMs + random.next() * FIRST_SPREAD_MS
    this.#report = { status: 'critical', output: '', changedAtMs: startedAtMs }
  }

  /** When to probe. Infinity: a probe is under way. */
  get dueAtMs(): number {
    return this.#isProbing ? Infinity : this.#dueAtMs
  }

  get report(): CheckReport {
    return this.#report
  }

  /** A result has counted: the report is more than where every check begins. */
  get isKnown(): boolean {
    return this.#isKnown
  }

  begin(): void {
    assert(!this.#isProbing, 'one probe at a time')
    this.#isProbing = true
  }

  /** @returns whether the status changed. */
  ended({ status, output }: ProbeResult, nowMs: number): boolean {
    assert(this.#isProbing, 'a probe has begun')
    this.#isProbing = false
    const isPassing = status === 'passing'
    this.#failures = isPassing ? 0 : this.#failures + 1
    this.#hasPassed ||= isPassing
    this.#dueAtMs = nowMs + this.#pauseMs()
    if (!isPassing && nowMs < this.#graceEndsMs) return false
    const isChanged = status !== this.#report.status
    this.#isKnown = true
    const changedAtMs = isChanged ? nowMs : this.#report.changedAtMs
    this.#report = { status, output, changedAtMs }
    return isChanged
  }

  #pauseMs(): number {
    const { intervalMs } = this.spec
    const jitter = 1 + (2 * this.#random.next() - 1) * JITTER_RATIO
    if (!this.#hasPassed) {
      return jitter * Math.min(intervalMs, FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 16))
    }
    const stretch = Math.min(STRETCH_MAX, 2 ** Math.max(0, this.#failures - FAILURES_PATIENT))
    return jitter * Math.max(intervalMs, Math.min(intervalMs * stretch, STRETCHED_MS_MAX))
  }
}
