import type { Server, Socket } from 'node:net'
import { type Clock, type Log, startDeadline } from '#base'
import type { ApiClient } from '#corrosion'
import {
  backhaulAddress,
  ensureHostField,
  type HostClaim,
  hostFieldMoved,
  listenForSsh,
  MachineNetworks,
  openHostNetwork,
  openSystem,
  parseMeshPrefix,
} from '#net6'
import type { MachineLinks } from './machine-links.ts'
import { corrosionPolicies, type PolicySource } from './network-policies.ts'
import { SixPnLinks } from './six-pn-links.ts'

export interface HostLinksOptions {
  readonly hostId: string
  /** Of the private network's state, the same as that of `godwit net run`. */
  readonly folder: string
  readonly mtuBytes: number
  readonly kind: 'container' | 'vm'
  /** Of this host's corrosion agent. */
  readonly client: ApiClient
  readonly clock: Clock
  readonly log: Log
}

export interface HostLinks {
  readonly links: MachineLinks
  readonly policies: PolicySource
  /** This host's own on the mesh. */
  readonly meshAddress: string
  /** Where it answers port 22 of its machines' 6PN addresses. @throws Net6Error net6.host_unable */
  listenForSsh(onConnection: (socket: Socket) => void): Promise<Server>
  /** Resolves when this host gave its number to another one; never, when the signal aborts first. */
  moved(signal: AbortSignal): Promise<void>
}

const CLAIMS_MS_MAX = 3_000

/**
 * The network of this host's machines. It does not wait for the daemon that keeps the mesh (`godwit net run`):
 * what both need, whoever comes first makes.
 *
 * @throws Net6Error net6.host_unable, net6.state_bad, net6.tool_failed
 */
export async function openHostLinks(options: HostLinksOptions): Promise<HostLinks> {
  const { hostId, folder, mtuBytes, kind, clock } = options
  const host = await ensureHostField(folder, hostId, () => claimsOf(options))
  const system = openSystem()
  const programs = await openHostNetwork({ system, host })
  const networks = await MachineNetworks.open({ system, programs, folder, host, mtuBytes })
  return {
    links: new SixPnLinks(networks, kind),
    policies: corrosionPolicies(options),
    meshAddress: backhaulAddress(host),
    listenForSsh,
    moved: (signal) => hostFieldMoved({ folder, hostId, host }, clock, signal),
  }
}

/** Without rows the number follows from the host's id alone, and the mesh's daemon puts right what is wrong with it. */
async function claimsOf({ client, clock, log }: HostLinksOptions): Promise<HostClaim[]> {
  try {
    using deadline = startDeadline('the numbers of other hosts', CLAIMS_MS_MAX, { clock })
    const claims: HostClaim[] = []
    const sql = "SELECT id, six_pn_prefix FROM hosts WHERE six_pn_prefix <> ''"
    for await (const event of client.query(sql, [], { signal: deadline.signal })) {
      if (event.kind !== 'row') continue
      const [id, prefix] = event.cells.map(String)
      const claim = claimOf(id ?? '', prefix ?? '')
      if (claim !== undefined) claims.push(claim)
    }
    return claims
  } catch (err) {
    log.warn({ err }, 'no rows: the number of this host is chosen without them')
    return []
  }
}

function claimOf(hostId: string, prefix: string): HostClaim | undefined {
  try {
    return { hostId, host: parseMeshPrefix(prefix).host }
  } catch {
    return undefined // a row that makes no sense: net6 reports it
  }
}
