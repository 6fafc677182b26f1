import { AF_INET } from '../net/libc.ts'
import type { Memory } from '../net/memory.ts'
import { encodeSocketAddress, portOf, type SocketAddress } from '../net/socket-address.ts'
import type { Topology } from '../routing-table/topology.ts'

/** Which host a proxy's address on the mesh is of, and the other way round. Made anew when hosts change. */
export class MeshHosts {
  readonly #topology: Topology
  readonly #port: number
  readonly #byAddress = new Map<string, string>()
  readonly #byHost = new Map<string, SocketAddress>()
  #version = -1

  /** @param port on which all hosts' proxies hear and speak */
  constructor(topology: Topology, port: number) {
    this.#topology = topology
    this.#port = port
  }

  /** Undefined: it is no proxy of a known host. */
  hostAt(sender: Memory): string | undefined {
    this.#refresh()
    return portOf(sender) === this.#port ? this.#byAddress.get(bytesOf(sender)) : undefined
  }

  addressOf(hostId: string): SocketAddress | undefined {
    this.#refresh()
    return this.#byHost.get(hostId)
  }

  #refresh(): void {
    if (this.#version === this.#topology.version) return
    this.#version = this.#topology.version
    this.#byAddress.clear()
    this.#byHost.clear()
    for (const { id, isKnown, backhaulAddress } of this.#topology.hosts()) {
      if (!isKnown || backhaulAddress === '') continue
      try {
        const address = encodeSocketAddress(backhaulAddress, this.#port)
        this.#byHost.set(id, address)
        this.#byAddress.set(bytesOf(address.memory), id)
      } catch {
        // another host wrote it: that one is not reached until its row makes sense
      }
    }
  }
}

/** The address alone, as a key. */
const bytesOf = ({ bytes }: Memory): string =>
  bytes.readUInt16LE(0) === AF_INET
    ? bytes.toString('latin1', 4, 8)
    : bytes.toString('latin1', 8, 24)
