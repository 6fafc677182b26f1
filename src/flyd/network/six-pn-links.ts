import { isMachineId, type MachineId, parseMachineId } from '#base'
import type { MachineNetwork, MachineNetworks } from '#net6'
import type { LinkSpec, MachineLink, MachineLinks } from './machine-links.ts'

/** Machines' links as the private network makes them (docs/network.md). */
export class SixPnLinks implements MachineLinks {
  readonly #networks: MachineNetworks
  readonly #kind: 'container' | 'vm'

  /** @param kind what the host's runtime makes of machines */
  constructor(networks: MachineNetworks, kind: 'container' | 'vm') {
    this.#networks = networks
    this.#kind = kind
  }

  async make({ id, networkId }: LinkSpec, signal: AbortSignal): Promise<MachineLink> {
    const spec = { id: parseMachineId(id), networkId, kind: this.#kind }
    return linkOf(await this.#networks.make(spec, signal))
  }

  takeDown(id: string, signal: AbortSignal): Promise<void> {
    return this.#networks.takeDown(parseMachineId(id), signal)
  }

  remove(id: string, signal: AbortSignal): Promise<void> {
    return this.#networks.remove(parseMachineId(id), signal)
  }

  async standing(signal: AbortSignal): Promise<readonly MachineLink[]> {
    const all = await this.#networks.list(signal)
    return all.filter(({ isUp }) => isUp).map(linkOf)
  }

  async ids(signal: AbortSignal): Promise<readonly MachineId[]> {
    const known = (await this.#networks.list(signal)).map(({ id }) => id)
    const strays = await this.#networks.listStrays(signal)
    return [...known, ...strays.filter(isMachineId)]
  }
}

/** A machine has one interface: whose its addresses are goes without saying. */
const linkOf = ({ id, guest, init, privateIp, privateIpv4 }: MachineNetwork): MachineLink => ({
  id,
  privateIp,
  privateIpv4,
  guest: {
    ...guest,
    addresses: init.addresses.map(({ link: _, ...address }) => address),
    nameservers: init.nameservers,
    hosts: init.hosts,
  },
})
