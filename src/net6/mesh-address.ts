/** Where the parts of this host listen for those of other hosts, and where other hosts gossip. */
import { networkInterfaces } from 'node:os'
import { type Clock, pollUntil, systemClock } from '#base'
import { Net6Error } from './errors.ts'
import { readHostField } from './host-number.ts'
import { BACKHAUL_PREFIX, backhaulAddress } from './six-pn-address.ts'

/** In a part's configuration, in place of an address: this host's own on the mesh. */
export const MESH = 'mesh'

export interface OwnAddressOptions {
  /** Of the private network's state. */
  readonly folder: string
  /** @default whichever host the folder is of */
  readonly hostId?: string | undefined
  /** For the part that makes the address. @default 30,000 */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock
}

export interface OwnAddress {
  readonly address: string
  /** Resolves when this host gave its number, and so the address, to another one; never, when the signal aborts first. */
  moved(signal: AbortSignal): Promise<void>
}

const ADDRESS_MS_MAX = 30_000
const POLL_MS = 100
const LOOK_MS = 5_000

/**
 * The address that a part is to listen at for other hosts. `mesh` waits until `godwit net run` (or flyd) has made this
 * host's; any other text is an address already.
 *
 * @throws Net6Error net6.mesh_away: nobody made it in time; net6.state_bad
 */
export async function ownAddress(text: string, options: OwnAddressOptions): Promise<OwnAddress> {
  if (text !== MESH) {
    const { promise: never } = Promise.withResolvers<void>()
    return { address: text, moved: () => never }
  }
  const { folder, hostId, deadlineMs = ADDRESS_MS_MAX, signal, clock = systemClock } = options
  let host: number | undefined
  const look = async () => {
    host = await readHostField(folder, hostId)
    const address = host === undefined ? undefined : backhaulAddress(host)
    return address !== undefined && hasAddress(address) && address
  }
  try {
    const address = await pollUntil("this host's address on the mesh", look, {
      ...{ deadlineMs, intervalMs: POLL_MS, signal, clock },
    })
    return { address, moved: (until) => hostFieldMoved({ folder, hostId, host }, clock, until) }
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof Net6Error) throw cause
    throw new Net6Error('net6.mesh_away', {
      what: "this host's address on the mesh is not there",
      values: { folder, address: host === undefined ? 'none yet' : backhaulAddress(host) },
      fix: 'see what keeps the part net from starting: godwit host status, then its log',
      cause,
    })
  }
}

/** Until the host's number is another one. Rejects with the signal's reason. */
export async function hostFieldMoved(
  of: {
    readonly folder: string
    readonly hostId?: string | undefined
    readonly host: number | undefined
  },
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while ((await readHostField(of.folder, of.hostId)) === of.host) await clock.sleep(LOOK_MS, signal)
}

/**
 * The IP address at which a host gossips, by its row: corrosion speaks outside of the mesh, at the address that WireGuard
 * is found at, as it is what makes hosts known to each other's mesh. A host without a mesh gossips where it is reached.
 *
 * @returns undefined: the row does not say yet
 */
export function gossipAddressOf(row: {
  readonly mesh_endpoint: string
  readonly backhaul_ip: string
}): string | undefined {
  const { mesh_endpoint: endpoint, backhaul_ip: backhaul } = row
  if (endpoint !== '') return endpoint.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  return backhaul === '' || isBackhaul(backhaul) ? undefined : backhaul
}

/** Is it an address of the mesh? */
export const isBackhaul = (address: string): boolean =>
  address.startsWith(BACKHAUL_PREFIX.replace(/:\/\d+$/, ''))

const hasAddress = (address: string): boolean =>
  Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === address))
