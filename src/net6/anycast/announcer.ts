import { type Clock, type Log, systemClock } from '#base'
import type { BfdSession, BirdControl } from '#bird'
import {
  type Announcement,
  type AnnouncerPhase,
  AnnouncerState,
  CHECK_DEADLINE_MS,
  CHECK_EVERY_MS,
  type CheckOutcome,
} from './announcer-state.ts'
import type { AnycastPrefix } from './anycast-prefixes.ts'
import type { BirdConfigFile } from './bird-config-file.ts'

export interface AnnouncerOptions {
  readonly bird: BirdControl
  readonly prefixes: readonly AnycastPrefix[]
  /** Asks the local proxy whether it is well; what it throws means no. */
  readonly isHealthy: (signal: AbortSignal) => Promise<boolean>
  readonly drainMs?: number
  /** What BIRD is to be configured with before it is told anything. Absent: that is the operator's matter. */
  readonly config?: BirdConfigFile
  readonly clock?: Clock
  readonly log?: Log
}

/** As `godwit net anycast --json` prints it. */
export interface AnycastStatus {
  readonly phase: AnnouncerPhase
  readonly prefixes: readonly string[]
  /** Sessions with neighbours: `Established` when it is well. */
  readonly bgp: readonly { readonly name: string; readonly info: string }[]
  readonly bfd: readonly BfdSession[]
}

/**
 * Has BIRD announce the host's anycast prefixes while the local proxy is well. BIRD holds the routes, so an
 * announcer that dies changes nothing; the next one goes on from there, and withdraws what the proxy's health does not bear out.
 */
export class Announcer {
  readonly #options: AnnouncerOptions
  readonly #state: AnnouncerState
  readonly #stop = new AbortController()
  #turn: Promise<unknown> = Promise.resolve()
  readonly #running: Promise<void>

  constructor(options: AnnouncerOptions) {
    this.#options = options
    const { drainMs } = options
    this.#state = new AnnouncerState(drainMs === undefined ? {} : { drainMs })
    this.#running = this.#run()
  }

  get phase(): AnnouncerPhase {
    return this.#state.phase
  }

  /** Neighbours are asked to prefer others; after a while the prefixes are withdrawn. */
  async drain(): Promise<void> {
    this.#state.drain(this.#nowMs())
    await this.#tell()
  }

  async undrain(): Promise<void> {
    this.#state.undrain(this.#nowMs())
    await this.#tell()
  }

  /** What this host and its BIRD say of themselves. @throws BirdError */
  async status(): Promise<AnycastStatus> {
    const { bird, prefixes } = this.#options
    const [protocols, sessions] = await Promise.all([bird.protocols(), bird.bfdSessions()])
    return {
      phase: this.#state.phase,
      prefixes: prefixes.map(({ prefix }) => prefix),
      bgp: protocols.filter(({ kind }) => kind === 'BGP').map(({ name, info }) => ({ name, info })),
      bfd: sessions,
    }
  }

  /** Stops checking. BIRD goes on as it was told last. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  #nowMs(): number {
    return (this.#options.clock ?? systemClock).nowMs()
  }

  async #run(): Promise<void> {
    const { clock = systemClock, log } = this.#options
    const { signal } = this.#stop
    try {
      this.#state.adopt(await this.#announced(), clock.nowMs())
    } catch (error) {
      log?.warn({ err: error }, 'BIRD does not say what it announces: starting from nothing')
    }
    while (!signal.aborted) {
      const outcome = await this.#check(signal)
      if (signal.aborted) return
      const before = this.#state.phase
      this.#state.checked(outcome, clock.nowMs())
      const { phase } = this.#state
      if (phase !== before) log?.info({ from: before, to: phase, outcome }, 'anycast changes')
      try {
        await this.#tell()
      } catch (error) {
        log?.error({ err: error }, 'BIRD was not told: trying again')
      }
      await clock.sleep(CHECK_EVERY_MS, signal).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    }
  }

  /** What BIRD tells neighbours now. */
  async #announced(): Promise<Announcement> {
    const { bird, prefixes } = this.#options
    const states = await bird.protocols(this.#stop.signal)
    const up = new Set(states.filter(({ isUp }) => isUp).map(({ name }) => name))
    if (prefixes.some(({ drainingProtocol }) => up.has(drainingProtocol))) return 'draining'
    return prefixes.some(({ protocol }) => up.has(protocol)) ? 'prefixes' : 'nothing'
  }

  async #check(signal: AbortSignal): Promise<CheckOutcome> {
    const late = AbortSignal.timeout(CHECK_DEADLINE_MS)
    try {
      return (await this.#options.isHealthy(AbortSignal.any([signal, late]))) ? 'well' : 'dead'
    } catch {
      return late.aborted ? 'slow' : 'dead' // an error is what no health looks like
    }
  }

  /** One change at a time; the new way is there before the old one goes. */
  #tell(): Promise<void> {
    const turn = this.#turn.then(
      () => this.#tellNow(),
      () => this.#tellNow(), // whoever came before told its own caller how it ended
    )
    this.#turn = turn
    return turn
  }

  /** Compares with what BIRD does now: one that was restarted has forgotten. */
  async #tellNow(): Promise<void> {
    const { announcement } = this.#state
    const { bird, prefixes, config } = this.#options
    await config?.apply(bird)
    const states = await bird.protocols()
    const up = new Set(states.filter(({ isUp }) => isUp).map(({ name }) => name))
    for (const { protocol, drainingProtocol } of prefixes) {
      const wanted =
        announcement === 'nothing' ? '' : announcement === 'draining' ? drainingProtocol : protocol
      if (wanted !== '' && !up.has(wanted)) await bird.enable(wanted)
      for (const other of [protocol, drainingProtocol]) {
        if (other !== wanted && up.has(other)) await bird.disable(other)
      }
    }
  }
}
