import assert from 'node:assert/strict'
import type { Clock, Random } from '#base'
import { refuse } from './errors.ts'
import type { Rows } from './rows.ts'

/**
 * Keeps names unique among an app's living machines while their rows are still on the way: a claim
 * lasts until the machine is in the rows or its time ran out. Every instance must ask the same one.
 */
export interface MachineNames {
  /** The id that has the name: the claimant's own, or another's. */
  claim(claim: NameClaim, signal: AbortSignal): Promise<{ readonly holderId: string }>
  release(claim: NameClaim): void
}

export interface NameClaim {
  readonly appId: string
  readonly name: string
  readonly machineId: string
}

/** Longer than a create may take, and than its row may travel. */
export const CLAIM_MS = 120_000
const CLAIMS_MAX = 50_000

/** Claims in this process: for tests, and for one instance alone. */
export class LocalMachineNames implements MachineNames {
  readonly #clock: Clock
  readonly #claims = new Map<string, { machineId: string; untilMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async claim(claim: NameClaim): Promise<{ holderId: string }> {
    this.#dropExpired()
    const key = keyOf(claim)
    const holder = this.#claims.get(key)
    if (holder !== undefined) return { holderId: holder.machineId }
    if (this.#claims.size >= CLAIMS_MAX) {
      throw refuse('flaps.rate_limited', 'resource_exhausted: too many machines are being created')
    }
    const untilMs = this.#clock.monotonicMs() + CLAIM_MS
    this.#claims.set(key, { machineId: claim.machineId, untilMs })
    return { holderId: claim.machineId }
  }

  release(claim: NameClaim): void {
    const key = keyOf(claim)
    if (this.#claims.get(key)?.machineId === claim.machineId) this.#claims.delete(key)
  }

  /** All claims last equally long, so the oldest come first. */
  #dropExpired(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [key, { untilMs }] of this.#claims) {
      if (untilMs > nowMs) return
      this.#claims.delete(key)
    }
  }
}

const keyOf = ({ appId, name }: NameClaim) => `${appId}/${name}`

/** Clients read the id out of this text and take that machine for theirs: it stays as it is. */
export const nameExists = (name: string, machineId: string) =>
  refuse(
    'flaps.name_exists',
    `already_exists: unique machine name violation, machine ID ${machineId} already exists with name "${name}"`,
  )

/** The living machine of this name, as the rows have it. */
export function machineOfName(rows: Rows, appId: string, name: string): string | undefined {
  return rows.machines({ appId }).find(({ json }) => json.name === name && isLive(json.state))?.id
}

/** Whether a machine in this state has its name. */
export const isLive = (state: string) => !isGone(state) && state !== 'destroying'

/** It is not here any more: destroyed, or on another host, which tells of it. */
export const isGone = (state: string) => state === 'destroyed' || state === 'migrated'

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/

/** @throws FlapsError flaps.argument_bad */
export function checkMachineName(name: string): void {
  if (NAME.test(name)) return
  throw refuse(
    'flaps.argument_bad',
    "invalid_argument: invalid name: use 1 to 63 letters, digits, '-', '_' and '.'",
  )
}

// biome-ignore format: a list
const adjectives = ['amber', 'autumn', 'bold', 'bright', 'calm', 'cold', 'crimson', 'dark', 'dawn', 'falling', 'gentle', 'green', 'hidden', 'late', 'lively', 'long', 'misty', 'morning', 'old', 'patient', 'polar', 'quiet', 'restless', 'silent', 'small', 'snowy', 'spring', 'still', 'summer', 'wandering', 'white', 'winter'] as const
// biome-ignore format: a list
const nouns = ['bird', 'breeze', 'brook', 'cloud', 'coast', 'curlew', 'dune', 'feather', 'field', 'flight', 'fog', 'godwit', 'heron', 'island', 'lake', 'marsh', 'meadow', 'moon', 'night', 'pond', 'rain', 'reed', 'river', 'sea', 'shore', 'sky', 'sound', 'star', 'sun', 'tern', 'wave', 'wind'] as const

/** `adjective-noun-NNNN`, for machines that nobody named. */
export function inventName(random: Random): string {
  const adjective = adjectives[random.int(adjectives.length)]
  const noun = nouns[random.int(nouns.length)]
  assert(adjective !== undefined && noun !== undefined, 'an index within the list')
  return `${adjective}-${noun}-${1000 + random.int(9000)}`
}
