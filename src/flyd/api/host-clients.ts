import { type Clock, type Random, systemClock, systemRandom } from '#base'
import { refuse } from '../errors.ts'
import type { MachineHost } from '../host.ts'
import type { HostOperations } from '../host-operations.ts'
import type { ClusterKey } from './cluster-key.ts'
import { hostClient, type RemoteHost } from './host-client.ts'
import { HostConnection } from './host-connection.ts'

/** What a host's API listens on where nobody says otherwise. */
export const HOST_API_PORT = 4281

export interface HostClientsOptions {
  /** The backhaul's address of a host, as the rows have it now. Undefined: no such host. */
  readonly addressOf: (hostId: string) => string | undefined
  /** @default HOST_API_PORT */
  readonly port?: number
  readonly key: ClusterKey
  readonly clock?: Clock
  readonly random?: Random
}

/** Rows name as many hosts as there are; what was called and is there no more is let go of. */
const HOSTS_MAX = 10_000

/**
 * The other hosts of the cluster, each with connections and a circuit of its own: one that is dead fails
 * fast and hurts no other. A host that changed its address is called at the new one.
 */
export class HostClients implements Disposable {
  readonly #options: Required<HostClientsOptions>
  readonly #connections = new Map<string, HostConnection>()
  readonly #clients = new Map<string, RemoteHost>()

  constructor(options: HostClientsOptions) {
    const around = { port: HOST_API_PORT, clock: systemClock, random: systemRandom }
    this.#options = { ...around, ...options }
  }

  /** A host that is not there refuses each call: flyd.host_unreached. */
  host = (hostId: string): MachineHost => this.#client(hostId)

  /** What operators ask of it. */
  operations = (hostId: string): HostOperations => this.#client(hostId).operations

  #client(hostId: string): RemoteHost {
    const known = this.#clients.get(hostId)
    if (known !== undefined) return known
    if (this.#clients.size >= HOSTS_MAX) this[Symbol.dispose]()
    const made = hostClient(() => this.#connection(hostId))
    this.#clients.set(hostId, made)
    return made
  }

  /** Hosts that are not called now, because they did not answer. */
  get unreachedCount(): number {
    return this.#connections.values().reduce((sum, one) => sum + (one.isOpen ? 1 : 0), 0)
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections.values()) connection[Symbol.dispose]()
    this.#connections.clear()
    this.#clients.clear()
  }

  /** @throws FlydError flyd.host_unreached */
  #connection(hostId: string): HostConnection {
    const { addressOf, port, key, clock, random } = this.#options
    const address = addressOf(hostId)
    if (address === undefined || address === '') {
      throw refuse('flyd.host_unreached', `unavailable: there is no host ${hostId}`)
    }
    const known = this.#connections.get(hostId)
    if (known?.address === address) return known
    known?.[Symbol.dispose]()
    const made = new HostConnection({ hostId, address, port, key, clock, random })
    this.#connections.set(hostId, made)
    return made
  }
}
