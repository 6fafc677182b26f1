import { isMachineId, type MachineId, parseMachineId } from '#base'
import type { MachineNetwork, MachineNetworks } from '#net6'
import { refuse } from '../errors.ts'
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

  /** @throws FlydError flyd.host_unreached: its policies are not known, and never were */
  async make({ id, networkId, policy }: LinkSpec, signal: AbortSignal): Promise<MachineLink> {
    const machine = parseMachineId(id)
    if (policy === undefined && !this.#networks.has(machine)) {
      const what = "unavailable: the app's network policies cannot be read"
      throw refuse('flyd.host_unreached', what)
    }
    const spec = { id: machine, networkId, kind: this.#kind, ...(policy && { policy }) }
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
