import type { CpuSpec } from './guest-spec.ts'

/**
 * CPU time as the kernel's bandwidth control takes it: in each period a guest's processes together run
 * for at most the quota. Source: Linux, Documentation/scheduler/sched-bwc.rst.
 */
export interface CpuBandwidth {
  readonly quotaUs: number
  readonly periodUs: number
}

const PERIOD_US = 80_000
const SHARED_QUOTA_US = 5_000
const INITIAL_BALANCE_NS = 5_000_000_000n
const BALANCE_MAX_NS = 500_000_000_000n

/** What a guest may always have: 5 of 80 ms for each shared CPU, all of a performance CPU. */
export function baselineOf({ kind, count }: CpuSpec): CpuBandwidth {
  const perCpuUs = kind === 'shared' ? SHARED_QUOTA_US : PERIOD_US
  return { quotaUs: perCpuUs * count, periodUs: PERIOD_US }
}

/** What it may have while its balance lasts. */
export function burstOf({ count }: CpuSpec): CpuBandwidth {
  return { quotaUs: PERIOD_US * count, periodUs: PERIOD_US }
}

/**
 * The CPU time that a shared guest has saved: what it leaves of its baseline is added, what it takes
 * beyond it is spent. It starts with 5 s, and keeps at most 500 s. A core: whoever owns the guest asks it
 * about once a second, and sets the bandwidth that it says.
 */
export class CpuBalance {
  readonly #spec: CpuSpec
  #balanceNs = INITIAL_BALANCE_NS
  #usedNs: bigint
  #atMs: number

  /** @param usedNs what the guest has used until `nowMs`. */
  constructor(spec: CpuSpec, usedNs: bigint, nowMs: number) {
    this.#spec = spec
    this.#usedNs = usedNs
    this.#atMs = nowMs
  }

  get balanceNs(): bigint {
    return this.#balanceNs
  }

  /** Gives the bandwidth from now on. A clock that goes back adds nothing. */
  tell(usedNs: bigint, nowMs: number): CpuBandwidth {
    const { quotaUs, periodUs } = baselineOf(this.#spec)
    const passedNs = BigInt(Math.max(0, Math.round((nowMs - this.#atMs) * 1e6)))
    const earnedNs = (passedNs * BigInt(quotaUs)) / BigInt(periodUs)
    const spentNs = usedNs > this.#usedNs ? usedNs - this.#usedNs : 0n
    const balanceNs = this.#balanceNs + earnedNs - spentNs
    this.#balanceNs = balanceNs < 0n ? 0n : balanceNs > BALANCE_MAX_NS ? BALANCE_MAX_NS : balanceNs
    this.#usedNs = usedNs
    this.#atMs = nowMs
    return this.#balanceNs > 0n ? burstOf(this.#spec) : baselineOf(this.#spec)
  }
}
