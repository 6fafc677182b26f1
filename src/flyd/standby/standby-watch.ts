import { type Clock, type Log, type Random, startDeadline } from '#base'
import type { MachineSeen } from '../model/machine-seen.ts'
import { isGone } from '../model/machine-state.ts'
import { standbyFor, type WatchedMachines } from './standby.ts'

/** A machine of any host, as its row has it. */
export interface WatchedRow {
  readonly id: string
  readonly hostId: string
  readonly state: string
}

export interface ClusterHost {
  readonly id: string
  /** Undefined: nobody has said yet. */
  readonly isPresent: boolean | undefined
}

export interface StandbyWatchOptions {
  readonly hostId: string
  /** Of this host. */
  readonly machines: () => Iterable<MachineSeen>
  /** The rows of these machines, from the replica of this host. */
  readonly rowsOf: (ids: readonly string[], signal: AbortSignal) => Promise<readonly WatchedRow[]>
  /** All that have rows, this one too. */
  readonly hosts: (signal: AbortSignal) => Promise<readonly ClusterHost[]>
  readonly changed: (watched: WatchedMachines) => Promise<void>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

const PERIOD_MS = 2_000
const LOOK_MS_MAX = 10_000
/** A host counts as gone when it has been away for so long: gossip calls one down that was only slow. */
export const GONE_MS = 5_000

/**
 * Tells standbys of this host what became of the hosts of those that they watch. A host that sees less than
 * half of all hosts takes itself for the one that was cut off, and starts nothing. Hosts without standbys ask
 * nobody anything.
 */
export class StandbyWatch implements AsyncDisposable {
  readonly #options: StandbyWatchOptions
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>
  /** Monotonic: since when each host has been away. */
  readonly #awaySinceMs = new Map<string, number>()

  constructor(options: StandbyWatchOptions) {
    this.#options = options
    this.#loop = this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('flyd ends'))
    await this.#loop
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#look()
      } catch (err) {
        if (!signal.aborted) log.debug({ err }, 'what standbys watch cannot be told')
      }
      const waited = clock.sleep(PERIOD_MS * (0.5 + random.next()), signal)
      await waited.catch(() => undefined) // aborted: the loop sees it
    }
  }

  async #look(): Promise<void> {
    const { machines, rowsOf, hosts, changed, clock } = this.#options
    const ids = new Set<string>()
    for (const machine of machines()) {
      if (!isGone(machine)) for (const id of standbyFor(machine.config)) ids.add(id)
    }
    if (ids.size === 0) return
    const { signal } = this.#stop
    using deadline = startDeadline('reading rows for standbys', LOOK_MS_MAX, { signal, clock })
    const known = await hosts(deadline.signal)
    const rows = new Map((await rowsOf([...ids], deadline.signal)).map((row) => [row.id, row]))
    const away = this.#away(known)
    await changed({
      stateOf: (id) => {
        const row = rows.get(id)
        if (row === undefined) return 'other'
        if (away.isGone(row.hostId)) return 'gone'
        return row.state === 'started' && away.isHere(row.hostId) ? 'here' : 'other'
      },
    })
  }

  #away(hosts: readonly ClusterHost[]) {
    const nowMs = this.#options.clock.monotonicMs()
    const here = new Set<string>()
    for (const { id, isPresent } of hosts) {
      if (isPresent === true || id === this.#options.hostId) here.add(id)
      if (isPresent !== false || id === this.#options.hostId) this.#awaySinceMs.delete(id)
      else if (!this.#awaySinceMs.has(id)) this.#awaySinceMs.set(id, nowMs)
    }
    const isCutOff = here.size * 2 < hosts.length
    const isGoneSince = (sinceMs = nowMs) => nowMs - sinceMs >= GONE_MS
    return {
      isHere: (id: string) => here.has(id),
      isGone: (id: string) => !isCutOff && isGoneSince(this.#awaySinceMs.get(id)),
    }
  }
}
