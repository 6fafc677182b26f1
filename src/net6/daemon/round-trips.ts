/** Round trips to other hosts through the mesh: which are worth a row, and what `ping` says. No I/O. */

export interface RoundTrip {
  /** The other host. */
  readonly peerId: string
  /** Of the fastest answer; null: none came. */
  readonly rttUs: number | null
  readonly lossPpm: number
}

/** A row is written when a round trip differs from it by more than a part of it and so much beside. */
const CHANGE_PART = 0.1
const CHANGE_US = 500
/** And so often at least, so that readers see that it still holds. */
const REFRESH_MS = 10 * 60_000

interface Written extends RoundTrip {
  readonly atMs: number
}

/** What the rows say. Small changes would travel to all hosts for nothing. */
export class WrittenRoundTrips {
  readonly #rows = new Map<string, Written>()

  /** Those that are to be written. */
  news(measured: Iterable<RoundTrip>, nowMs: number): RoundTrip[] {
    return [...measured].filter((one) => {
      const old = this.#rows.get(one.peerId)
      return old === undefined || nowMs - old.atMs >= REFRESH_MS || differs(old, one)
    })
  }

  wrote(written: Iterable<RoundTrip>, nowMs: number): void {
    for (const one of written) this.#rows.set(one.peerId, { ...one, atMs: nowMs })
  }

  /** Hosts that are there no more: their rows go. */
  gone(present: ReadonlySet<string>): string[] {
    return [...this.#rows.keys()].filter((id) => !present.has(id))
  }

  removed(ids: Iterable<string>): void {
    for (const id of ids) this.#rows.delete(id)
  }
}

function differs(old: RoundTrip, now: RoundTrip): boolean {
  if (old.rttUs === null || now.rttUs === null) return old.rttUs !== now.rttUs
  return Math.abs(now.rttUs - old.rttUs) > old.rttUs * CHANGE_PART + CHANGE_US
}

/** Of `ping -q` of iputils. */
export function readPing(peerId: string, printed: string): RoundTrip {
  const [, lost = '100'] = /, ([\d.]+)% packet loss/.exec(printed) ?? []
  const [, fastestMs] = /min\/avg\/max(?:\/mdev)? = ([\d.]+)\//.exec(printed) ?? []
  const rttUs = fastestMs === undefined ? null : Math.round(Number(fastestMs) * 1000)
  return { peerId, rttUs, lossPpm: Math.round(Number(lost) * 10_000) }
}
