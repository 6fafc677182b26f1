import type { Random } from '#base'
import type { AddressKind } from './directory.ts'
import { refuse } from './errors.ts'

/** Addresses that this installation may give to apps. */
export interface AddressPools {
  /** Each for one app. */
  readonly v4: readonly string[]
  /** One for all apps; absent: none is shared. */
  readonly sharedV4?: string
  /** The first 64 bits, as `2001:db8:1:2`. */
  readonly v6Prefix?: string
}

const TRIES_MAX = 100

/**
 * A free address of a kind. Two instances may choose the same: whoever records it second is told.
 *
 * @param isTaken whether an app has it
 * @throws FlapsError flaps.unprocessable: none is left, or this installation has none of the kind
 */
export function pickAddress(
  pools: AddressPools,
  kind: AddressKind,
  options: { random: Random; isTaken: (ip: string) => boolean },
): string {
  const { random, isTaken } = options
  const free = candidates(pools, kind, random).find((ip) => kind === 'shared_v4' || !isTaken(ip))
  if (free !== undefined) return free
  throw refuse('flaps.unprocessable', `no ${kind} address is free`)
}

function candidates(pools: AddressPools, kind: AddressKind, random: Random): readonly string[] {
  if (kind === 'shared_v4') return pools.sharedV4 === undefined ? [] : [pools.sharedV4]
  if (kind === 'v4') return pools.v4
  const { v6Prefix } = pools
  if (kind !== 'v6' || v6Prefix === undefined) return []
  return Array.from({ length: TRIES_MAX }, () => {
    const groups = Array.from({ length: 4 }, () => random.int(0xffff) + 1)
    return `${v6Prefix}:${groups.map((group) => group.toString(16)).join(':')}`
  })
}
