/**
 * Fields of addresses, given out without asking anybody. A machine's field is unique on its host, which
 * alone gives it. A host's number comes from its id, so that a host which lost its disk has the same one
 * again; when rows show that two hosts have one number, the id that sorts first keeps it.
 */
import { createHash } from 'node:crypto'
import type { Random } from '#base'
import { Net6Error } from './errors.ts'
import { checkNetworkId, hostField } from './six-pn-address.ts'

const HOST_COUNT_MAX = 0x1_0000
const DRAWS_MAX = 1000

/** What is known of another host; `host` is the field, with its marker. */
export interface HostClaim {
  readonly hostId: string
  readonly host: number
}

/**
 * The host field of `hostId`. `kept` is the one that it has had so far.
 *
 * @throws Net6Error net6.pool_full when all 65,536 numbers are taken by others
 */
export function chooseHostField(
  hostId: string,
  claims: Iterable<HostClaim>,
  kept?: number,
): number {
  const others = [...claims].filter((claim) => claim.hostId !== hostId)
  const isTakenBefore = (host: number) =>
    others.some((claim) => claim.host === host && claim.hostId < hostId)
  if (kept !== undefined && !isTakenBefore(kept)) return kept
  const taken = new Set(others.map(({ host }) => host))
  const first = createHash('sha256').update(hostId).digest().readUInt16BE()
  for (let step = 0; step < HOST_COUNT_MAX; step += 1) {
    const host = hostField((first + step) % HOST_COUNT_MAX)
    if (!taken.has(host)) return host
  }
  throw new Net6Error('net6.pool_full', {
    what: 'every host number is taken',
    values: { hosts: taken.size },
  })
}

/** A field that no machine of this host has. Drawn, so that a new machine rarely gets an old one's address. */
export function drawMachineField(taken: ReadonlySet<number>, random: Random): number {
  return draw(random, (field) => field > 0xffff && !taken.has(field))
}

/** An id for a network, for who keeps none. Two draws of 32 bits rarely meet; `taken` are the known ones. */
export function drawNetworkId(taken: ReadonlySet<number>, random: Random): number {
  return draw(random, (network) => network > 0 && isFree(network) && !taken.has(network))
}

function isFree(network: number): boolean {
  try {
    return checkNetworkId(network) === network
  } catch {
    return false // reserved: that is the question
  }
}

function draw(random: Random, isGood: (field: number) => boolean): number {
  for (let attempt = 0; attempt < DRAWS_MAX; attempt += 1) {
    const drawn = random.int(2 ** 32)
    if (isGood(drawn)) return drawn
  }
  throw new Net6Error('net6.pool_full', {
    what: 'no free number was drawn',
    values: { draws: DRAWS_MAX },
  })
}
