import { StaticFiles } from '../statics/static-files.ts'
import type { HostEntry } from './host-entry.ts'
import { json, number, type PlatformRow, text } from './platform-rows.ts'

/** Whether a machine may get a connection, as far as rows tell. */
export type Availability =
  /** It runs and may be chosen. Its checks are another matter. */
  | 'running'
  /** It is on its way to running: worth waiting for. */
  | 'starting'
  /** It can be started. */
  | 'startable'
  /** It stops, or is being replaced: in a moment it can be started, or runs. */
  | 'changing'
  /** Cordoned, a standby, broken, gone, or its host is. */
  | 'unavailable'

const AVAILABILITY: Readonly<Record<string, Availability>> = {
  started: 'running',
  starting: 'starting',
  restarting: 'starting',
  stopped: 'startable',
  suspended: 'startable',
  suspending: 'startable', // a start cancels the copy
  stopping: 'changing',
  replacing: 'changing',
}

/** A machine as the rows of its host tell, and what this proxy learned of it. */
export class MachineFacts {
  readonly id: string
  isKnown = false
  host: HostEntry | undefined
  region = ''
  state = ''
  instanceId = ''
  privateIp = ''
  privateIpv4 = ''
  primaryRegion = ''
  isCordoned = false
  isStandby = false
  /** Undefined: the proxy serves none of its files. */
  statics: StaticFiles | undefined
  /** When its row last said something new, by the writer's clock: milliseconds since the epoch. */
  updatedAtMs = 0
  /** Since when this proxy knows it in its present state, by its own monotonic clock. */
  stateSinceMs = Number.NEGATIVE_INFINITY
  /** When this proxy learned that it runs, by its own monotonic clock. -Infinity: at the first sight. */
  startedAtMs = Number.NEGATIVE_INFINITY
  /** When this proxy learned that it stopped. */
  stoppedAtMs = Number.NEGATIVE_INFINITY
  /** This proxy asked for its start and has no answer yet. */
  isWaking = false
  /** This proxy was told that it runs and passes, and rows have not said so yet. */
  isAssumedReady = false
  /** This host is about to stop it: new requests turn to others, and one that has no other revives it. */
  isDraining = false
  /** A start failed: none before this monotonic time. */
  noStartBeforeMs = Number.NEGATIVE_INFINITY
  startFailures = 0
  /** Status of service checks by name. */
  readonly checks = new Map<string, string>()

  constructor(id: string) {
    this.id = id
  }

  /** Where the proxy of its host finds it. */
  get address(): string {
    return this.privateIpv4 === '' ? this.privateIp : this.privateIpv4
  }

  /** It runs as far as its rows tell, and this proxy has lost the way to its host: for a moment, or for good. */
  get isOutOfReach(): boolean {
    const { host } = this
    const isAway = host?.isKnown === true && !host.isReachable
    return isAway && AVAILABILITY[this.state] === 'running' && !this.isCordoned && !this.isStandby
  }

  get isPassing(): boolean {
    if (this.isAssumedReady) return true
    for (const status of this.checks.values()) if (status !== 'passing') return false
    return true
  }

  get availability(): Availability {
    if (!this.isKnown || this.isCordoned || this.isStandby) return 'unavailable'
    if (this.host === undefined || !this.host.isKnown || !this.host.isReachable) {
      return 'unavailable'
    }
    if (this.isDraining) return 'startable'
    if (this.isAssumedReady && AVAILABILITY[this.state] !== undefined) return 'running'
    return AVAILABILITY[this.state] ?? 'unavailable'
  }

  /** Rows say themselves what was assumed. */
  get isConfirmed(): boolean {
    if (this.state !== 'started') return false
    for (const status of this.checks.values()) if (status !== 'passing') return false
    return true
  }

  /** `nowMs` is monotonic. Does not touch `host`. */
  put(row: PlatformRow, nowMs: number): void {
    const state = text(row, 'state')
    const isFirst = !this.isKnown
    if (state === 'started' && this.state !== 'started' && !isFirst) this.startedAtMs = nowMs
    if (state !== 'started' && this.state === 'started') this.stoppedAtMs = nowMs
    if (state !== this.state) this.stateSinceMs = nowMs
    this.isKnown = true
    this.state = state
    this.region = text(row, 'region')
    this.instanceId = text(row, 'instance_id')
    this.privateIp = text(row, 'private_ip')
    this.privateIpv4 = text(row, 'private_ipv4')
    this.primaryRegion = text(row, 'primary_region')
    this.isCordoned = number(row, 'is_cordoned') === 1
    const standbyFor = json(row, 'standby_for')
    this.isStandby = Array.isArray(standbyFor) && standbyFor.length > 0
    this.statics = StaticFiles.of(json(row, 'statics'))
    this.updatedAtMs = number(row, 'updated_at')
  }
}
