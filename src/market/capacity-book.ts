import assert from 'node:assert/strict'
import {
  addLoad,
  CapacityLimits,
  type HostCapacity,
  type Load,
  MICROS_PER_CPU,
  NO_LOAD,
  subtractLoad,
  type Utilisation,
} from './capacity.ts'
import { MarketError } from './errors.ts'
import type { Needs } from './needs.ts'
import type { Refusal } from './refusal.ts'

/** `cordoned`: takes no new machine, its own may start. `draining`: starts none either. */
export type HostMode = 'open' | 'cordoned' | 'draining'

/** `place`: something new. `start`: a machine that lives here and takes up its room again. */
export type Purpose = 'place' | 'start'

export interface Hold {
  readonly needs: Needs
  /** At most one hold on this host has this key; the others are refused. */
  readonly exclusive?: string | undefined
}

export interface BookOptions {
  readonly capacity: HostCapacity
  /** Reservations that are neither confirmed nor ended. @default 1,000 */
  readonly reservationsMax?: number
}

interface Entry extends Hold {
  readonly load: Load
  /** The reservation that it came from. */
  readonly reservation?: string
  /** Infinity once confirmed. */
  readonly expiresAtMs: number
}

const RESERVATIONS_MAX = 1_000
/** Ended reservations that are remembered, so that a late or repeated order does not revive one. */
const ENDED_MAX = 4_096

/**
 * Who holds what of one host. Every unit is held by a reservation, for a time, or by a machine or
 * volume (a "holder"), until released. The sum never passes the limits, except by what `restore`
 * and `setCapacity` find to be so already; then nothing more is taken until it is back within.
 *
 * Lives in memory: after a restart, `restore` tells it what the log says, and reservations that were
 * open are gone, as their owners learn when they confirm. Times are monotonic milliseconds.
 */
export class CapacityBook {
  mode: HostMode = 'open'
  #limits: CapacityLimits
  readonly #reservationsMax: number
  readonly #reservations = new Map<string, Entry>()
  readonly #holders = new Map<string, Entry>()
  readonly #exclusive = new Map<string, Entry>()
  /** In order of their end; the oldest is forgotten first. */
  readonly #ended = new Set<string>()
  #used: Load = NO_LOAD

  /** @throws MarketError market.capacity_bad */
  constructor({ capacity, reservationsMax = RESERVATIONS_MAX }: BookOptions) {
    this.#limits = new CapacityLimits(capacity)
    this.#reservationsMax = reservationsMax
  }

  /** What may be held of each resource, ratios applied. */
  get limits(): Load {
    return this.#limits.limits
  }

  /** What reservations and holders have together. */
  get used(): Load {
    return this.#used
  }

  get utilisation(): Utilisation {
    return this.#limits.utilisationOf(this.#used)
  }

  get reservationCount(): number {
    return this.#reservations.size
  }

  get holderCount(): number {
    return this.#holders.size
  }

  /** When `expire` has something to do. Infinity: nothing is reserved. */
  get wakeAtMs(): number {
    let atMs = Infinity
    for (const { expiresAtMs } of this.#reservations.values()) atMs = Math.min(atMs, expiresAtMs)
    return atMs
  }

  /** How full the host would be with this as well. */
  utilisationWith(needs: Needs): Utilisation {
    return this.#limits.utilisationOf(addLoad(this.#used, this.#limits.loadOf(needs)))
  }

  /** Ratios or limits changed. What is held stays held. @throws MarketError market.capacity_bad */
  setCapacity(capacity: HostCapacity): void {
    const limits = new CapacityLimits(capacity)
    const entries = [this.#reservations, this.#holders]
    for (const map of entries) {
      for (const [id, entry] of [...map])
        this.#put(map, id, { ...entry, load: limits.loadOf(entry.needs) })
    }
    this.#limits = limits
  }

  /** Why this would be refused now; undefined: there is room. */
  refusalOf(hold: Hold, purpose: Purpose): Refusal | undefined {
    return this.#refusalOf(hold, purpose, undefined)
  }

  /**
   * Takes room for `ttlMs`. Asking again for the same reservation gives the same answer, and no more
   * time. One that has ended does not come back: `reservation_gone`.
   */
  reserve(reservation: string, hold: Hold, ttlMs: number, nowMs: number): Refusal | undefined {
    assert(ttlMs > 0 && ttlMs < Infinity, 'a reservation ends')
    this.expire(nowMs)
    if (this.#reservations.has(reservation)) return undefined
    if (this.#ended.has(reservation)) return { reason: 'reservation_gone' }
    if (this.#reservations.size >= this.#reservationsMax) return { reason: 'busy' }
    const refusal = this.#refusalOf(hold, 'place', undefined)
    if (refusal !== undefined) return refusal
    const load = this.#limits.loadOf(hold.needs)
    const expiresAtMs = nowMs + ttlMs
    this.#put(this.#reservations, reservation, { ...hold, load, reservation, expiresAtMs })
    return undefined
  }

  /**
   * What was reserved belongs to `holder` from now on, until `release`. May run twice.
   *
   * @throws MarketError market.reservation_gone, market.holder_taken
   */
  confirm(reservation: string, holder: string, nowMs: number): void {
    this.expire(nowMs)
    const held = this.#holders.get(holder)
    if (held?.reservation === reservation) return
    if (held !== undefined) {
      throw new MarketError('market.holder_taken', {
        what: 'it holds capacity already, under another reservation',
        values: { holder, reservation },
        fix: 'give each machine one reservation',
      })
    }
    const entry = this.#reservations.get(reservation)
    if (entry === undefined) {
      throw new MarketError('market.reservation_gone', {
        what: 'this host holds no such reservation',
        values: { reservation, holder },
        fix: 'it expired, was released, or the host was restarted: place the machine again',
      })
    }
    this.#remove(this.#reservations, reservation)
    this.#end(reservation)
    this.#put(this.#holders, holder, { ...entry, expiresAtMs: Infinity })
  }

  /** Gives a reservation back. One that is not known is remembered as ended. May run twice. */
  cancel(reservation: string): void {
    this.#remove(this.#reservations, reservation)
    this.#end(reservation)
  }

  /**
   * Takes room for a machine or volume of this host, without a reservation; or changes what it holds,
   * as a whole or not at all. Holding less is never refused.
   */
  hold(holder: string, hold: Hold, purpose: Purpose = 'start'): Refusal | undefined {
    const refusal = this.#refusalOf(hold, purpose, this.#holders.get(holder))
    if (refusal === undefined) this.#force(holder, hold)
    return refusal
  }

  /** For what runs already, at a restart: recorded whether there is room or not. */
  restore(holder: string, hold: Hold): void {
    this.#force(holder, hold)
  }

  /** False when it held nothing. */
  release(holder: string): boolean {
    return this.#remove(this.#holders, holder)
  }

  /** Undefined: it holds nothing here. */
  heldBy(holder: string): Hold | undefined {
    return this.#holders.get(holder)
  }

  /** Ends what is overdue. @returns the reservations that ended. */
  expire(nowMs: number): string[] {
    const overdue: string[] = []
    for (const [reservation, { expiresAtMs }] of this.#reservations) {
      if (expiresAtMs <= nowMs) overdue.push(reservation)
    }
    for (const reservation of overdue) this.cancel(reservation)
    return overdue
  }

  #refusalOf(hold: Hold, purpose: Purpose, previous: Entry | undefined): Refusal | undefined {
    if (previous === undefined && this.mode === 'draining') return { reason: 'draining' }
    if (purpose === 'place' && this.mode === 'cordoned') return { reason: 'cordoned' }
    const owner = hold.exclusive === undefined ? undefined : this.#exclusive.get(hold.exclusive)
    if (owner !== undefined && owner !== previous) return { reason: 'exclusive' }
    return this.#lackOfRoom(this.#limits.loadOf(hold.needs), previous?.load ?? NO_LOAD)
  }

  #lackOfRoom(load: Load, previous: Load): Refusal | undefined {
    const free = subtractLoad(this.limits, subtractLoad(this.#used, previous))
    const lacks = (name: keyof Load) => load[name] > free[name] && load[name] > previous[name]
    const figures = (name: keyof Load) => ({ asked: load[name], free: Math.max(0, free[name]) })
    if (lacks('cpuMicros')) {
      const { asked, free: left } = figures('cpuMicros')
      return { reason: 'cpus', asked: asked / MICROS_PER_CPU, free: left / MICROS_PER_CPU }
    }
    if (lacks('memoryMb')) return { reason: 'memory', ...figures('memoryMb') }
    if (lacks('machines')) return { reason: 'machines', ...figures('machines') }
    if (lacks('volumeBytes')) return { reason: 'volume_bytes', ...figures('volumeBytes') }
    return undefined
  }

  #force(holder: string, hold: Hold): void {
    const load = this.#limits.loadOf(hold.needs)
    const reservation = this.#holders.get(holder)?.reservation
    const entry = { ...hold, load, expiresAtMs: Infinity }
    this.#put(this.#holders, holder, reservation === undefined ? entry : { ...entry, reservation })
  }

  #put(map: Map<string, Entry>, id: string, entry: Entry): void {
    this.#remove(map, id)
    map.set(id, entry)
    if (entry.exclusive !== undefined) this.#exclusive.set(entry.exclusive, entry)
    this.#used = addLoad(this.#used, entry.load)
  }

  #remove(map: Map<string, Entry>, id: string): boolean {
    const entry = map.get(id)
    if (entry === undefined) return false
    map.delete(id)
    if (entry.exclusive !== undefined && this.#exclusive.get(entry.exclusive) === entry) {
      this.#exclusive.delete(entry.exclusive)
    }
    this.#used = subtractLoad(this.#used, entry.load)
    const { cpuMicros, memoryMb, machines, volumeBytes } = this.#used
    assert(Math.min(cpuMicros, memoryMb, machines, volumeBytes) >= 0, 'released twice')
    return true
  }

  #end(reservation: string): void {
    this.#ended.add(reservation)
    if (this.#ended.size <= ENDED_MAX) return
    const [oldest] = this.#ended
    if (oldest !== undefined) this.#ended.delete(oldest)
  }
}
