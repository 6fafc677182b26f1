import type { Random } from '#base'
import { flycastAddress } from '#net6'
import type { AddressKind } from './directory.ts'
import { noAddressFree } from './errors.ts'

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
/** Addresses of apps in a network. */
const FLYCAST_COUNT = 65_535

export interface AddressChoice {
  readonly random: Random
  readonly isTaken: (ip: string) => boolean
  /** 6PN network of the app: private addresses lie in it. */
  readonly networkId: number
}

/**
 * A free address of a kind. Two instances may choose the same: whoever records it second is told.
 *
 * @param isTaken whether an app has it
 * @throws FlapsError flaps.unprocessable: none is left, or this installation has none of the kind
 */
export function pickAddress(pools: AddressPools, kind: AddressKind, choice: AddressChoice): string {
  const { isTaken } = choice
  const free = candidates(pools, kind, choice).find((ip) => kind === 'shared_v4' || !isTaken(ip))
  if (free !== undefined) return free
  throw noAddressFree(kind)
}

function candidates(
  pools: AddressPools,
  kind: AddressKind,
  { random, networkId }: AddressChoice,
): readonly string[] {
  if (kind === 'shared_v4') return pools.sharedV4 === undefined ? [] : [pools.sharedV4]
  if (kind === 'v4') return pools.v4
  if (kind === 'private_v6') {
    const number = () => random.int(FLYCAST_COUNT) + 1
    return Array.from({ length: TRIES_MAX }, () => flycastAddress(networkId, number()))
  }
  const { v6Prefix } = pools
  if (kind !== 'v6' || v6Prefix === undefined) return []
  return Array.from({ length: TRIES_MAX }, () => {
    const groups = Array.from({ length: 4 }, () => random.int(0xffff) + 1)
    return `${v6Prefix}:${groups.map((group) => group.toString(16)).join(':')}`
  })
}
