/**
 * Private IPv4, known on the host alone. Each machine has a network of eight addresses:
 *   .1 its gateway, .2 its own, .3 what public UDP arrives at (fly-global-services)
 */
import { Net6Error } from '../errors.ts'

export const POOL = '172.19.0.0/16'
/** Whose bits under the mask are these is the `.3` of a machine. */
export const GLOBAL_SERVICES_MASK = { mask: '255.255.0.7', value: '172.19.0.3' } as const
const POOL_START = (172 << 24) | (19 << 16)
const NETWORK_BITS = 29
const SLOT_COUNT_MAX = 1 << (NETWORK_BITS - 16)

export interface PrivateIpv4 {
  readonly gateway: string
  readonly machine: string
  readonly globalServices: string
  readonly bits: number
}

export function privateIpv4(slot: number): PrivateIpv4 {
  const at = (low: number) => {
    const number = POOL_START + slot * 2 ** (32 - NETWORK_BITS) + low
    return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.')
  }
  return { gateway: at(1), machine: at(2), globalServices: at(3), bits: NETWORK_BITS }
}

/** What public UDP arrives at, by the machine's own address; undefined: it is none of the pool. */
export function globalServicesIpv4(machine: string): string | undefined {
  const [a, b, c, d] = machine.split('.').map(Number)
  if (a !== 172 || b !== 19 || c === undefined || d === undefined || d % 8 !== 2) return undefined
  return `${a}.${b}.${c}.${d + 1}`
}

/** @throws Net6Error net6.pool_full */
export function freeSlot(taken: ReadonlySet<number>): number {
  for (let slot = 0; slot < SLOT_COUNT_MAX; slot += 1) {
    if (!taken.has(slot)) return slot
  }
  throw new Net6Error('net6.pool_full', {
    what: 'every private IPv4 network of this host is taken',
    values: { machines: taken.size },
    fix: 'remove machines that are not needed',
  })
}
