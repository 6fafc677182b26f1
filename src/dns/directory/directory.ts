import { isIPv4, isIPv6 } from 'node:net'
import { Grouped } from './grouped.ts'
import { NetworkOwners } from './network-owners.ts'
import type {
  AppRow,
  ChallengeRow,
  CheckRow,
  IpRow,
  LinkRow,
  MachineRow,
  PeerRow,
  RegionRow,
  RowChange,
  ServiceRow,
} from './rows.ts'
import { ipv6Bytes, networkOf } from './six-pn.ts'

/** Who asks, as the source address says. */
export interface Caller {
  readonly networkId: number
  readonly orgId: string
}

const inNetwork = (networkId: number, name: string): string => `${networkId}/${name.toLowerCase()}`

/** All that names are made of, in memory. Changed row by row; nothing here waits. */
export class Directory {
  /** Grows with each change: what was computed at another version is stale. */
  version = 0
  readonly #apps = new Grouped<AppRow>((row) => inNetwork(row.networkId, row.name))
  readonly #appsByOrg = new Grouped<AppRow>((row) => row.orgId)
  readonly #appsByName = new Grouped<AppRow>((row) => row.name.toLowerCase())
  readonly #machines = new Grouped<MachineRow>((row) => row.appId)
  readonly #machinesByAddress = new Grouped<MachineRow>((row) => addressKey(row.privateIp))
  readonly #services = new Grouped<ServiceRow>((row) => row.machineId)
  readonly #checks = new Grouped<CheckRow>((row) => row.machineId)
  readonly #ips = new Grouped<IpRow>((row) => row.appId)
  readonly #peers = new Grouped<PeerRow>((row) => String(row.networkId))
  readonly #links = new Grouped<LinkRow>((row) => row.hostId)
  readonly #regions = new Grouped<RegionRow>((row) => row.name)
  readonly #challenges = new Grouped<ChallengeRow>((row) => row.hostname.toLowerCase())
  readonly #owners = new NetworkOwners()

  apply(change: RowChange): void {
    this.version += 1
    const { key } = change
    switch (change.table) {
      case 'apps':
        this.#owners.set(`app/${key}`, change.row)
        this.#apps.set(key, change.row)
        this.#appsByName.set(key, change.row)
        this.#appsByOrg.set(key, change.row)
        return
      case 'machines':
        this.#machinesByAddress.set(key, change.row)
        this.#machines.set(key, change.row)
        return
      case 'services':
        this.#services.set(key, change.row)
        return
      case 'checks':
        this.#checks.set(key, change.row)
        return
      case 'ips':
        this.#ips.set(key, change.row)
        return
      case 'wireguard_peers':
        this.#owners.set(`peer/${key}`, change.row)
        this.#peers.set(key, change.row)
        return
      case 'host_links':
        this.#links.set(key, change.row)
        return
      case 'regions':
        this.#regions.set(key, change.row)
        return
      case 'acme_challenges':
        this.#challenges.set(key, change.row)
        return
    }
  }

  /**
   * The organisation of a 6PN source address. Undefined, so that nothing is answered, when no row names the
   * network or rows name two organisations for it.
   */
  callerOf(address: Buffer): Caller | undefined {
    const networkId = networkOf(address)
    if (networkId === undefined) return undefined
    const orgId = this.#owners.ownerOf(networkId)
    return orgId === undefined ? undefined : { networkId, orgId }
  }

  /** As `callerOf`, of an address as sockets write it. */
  callerOfSource(source: string): Caller | undefined {
    return isIPv6(source) ? this.callerOf(ipv6Bytes(source)) : undefined
  }

  /** The caller's own app of that name. Of two that were made at once, the one with the smaller id. */
  app(caller: Caller, name: string): AppRow | undefined {
    let found: AppRow | undefined
    for (const row of this.#apps.group(inNetwork(caller.networkId, name))) {
      if (row.orgId === caller.orgId && (found === undefined || row.id < found.id)) found = row
    }
    return found
  }

  /** All of the caller's organisation, in any network of it. */
  appsOfOrg(caller: Caller): AppRow[] {
    return [...this.#appsByOrg.group(caller.orgId)].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Registered machines of an app in the caller's network, by id. */
  machines(caller: Caller, app: AppRow): MachineRow[] {
    return [...this.#machines.group(app.id)]
      .filter((row) => isOwn(caller, row))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  services(machineId: string): IteratorObject<ServiceRow> {
    return this.#services.group(machineId)
  }

  /** Do all checks of the machine's services pass? As the proxy sees it. */
  isPassing(machineId: string): boolean {
    return this.#checks
      .group(machineId)
      .every(({ isOfService, status }) => !isOfService || status === 'passing')
  }

  machineAt(caller: Caller, address: Buffer): MachineRow | undefined {
    const found = this.#machinesByAddress.group(address.toString('hex'))
    return [...found].find((row) => isOwn(caller, row))
  }

  appOfMachine(caller: Caller, machine: MachineRow): AppRow | undefined {
    const app = this.#apps.get(machine.appId)
    const isSame = app?.orgId === caller.orgId && app.networkId === caller.networkId
    return isSame ? app : undefined
  }

  /** Flycast addresses given in the caller's network to the app of that name, of whichever organisation. */
  flycast(caller: Caller, name: string): string[] {
    return this.#addressesOf(name)
      .filter((row) => isFlycastOf(caller, row))
      .map(addressOf)
      .sort()
  }

  /** Public addresses of an app. Flycast is none. */
  publicAddresses(name: string): { readonly v4: string[]; readonly v6: string[] } {
    const rows = this.#addressesOf(name)
    const of = (...kinds: string[]) =>
      rows
        .filter(({ kind }) => kinds.includes(kind))
        .map(addressOf)
        .sort()
    return {
      v4: of('v4', 'shared_v4').filter((text) => isIPv4(text)),
      v6: of('v6').filter((text) => isIPv6(text)),
    }
  }

  isApp(name: string): boolean {
    return !this.#appsByName.group(name).next().done
  }

  peers(caller: Caller): PeerRow[] {
    return [...this.#peers.group(String(caller.networkId))]
      .filter((row) => row.orgId === caller.orgId && isAddressOf(caller, row.peerIp))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  challenges(hostname: string): string[] {
    const rows = [...this.#challenges.group(hostname)].filter(({ kind }) => kind === 'dns-01')
    return rows.map(({ answer }) => answer).sort()
  }

  region(name: string): RegionRow | undefined {
    let last: RegionRow | undefined
    for (const row of this.#regions.group(name)) {
      if (last === undefined || row.updatedAt > last.updatedAt) last = row
    }
    return last
  }

  links(hostId: string): IteratorObject<LinkRow> {
    return this.#links.group(hostId)
  }

  #addressesOf(name: string): IpRow[] {
    return [...this.#appsByName.group(name)].flatMap(({ id }) => [...this.#ips.group(id)])
  }
}

const addressOf = ({ address }: { address: string }): string => address

function isOwn(caller: Caller, row: MachineRow): boolean {
  const isSame = row.networkId === caller.networkId && row.orgId === caller.orgId
  return isSame && row.isRegistered && isAddressOf(caller, row.privateIp)
}

function isFlycastOf(caller: Caller, row: IpRow): boolean {
  const isHere = row.kind === 'private_v6' && row.networkId === caller.networkId
  return isHere && isAddressOf(caller, row.address)
}

/** The address itself is believed more than the row's network. */
const isAddressOf = ({ networkId }: Caller, address: string): boolean =>
  isIPv6(address) && networkOf(ipv6Bytes(address)) === networkId

const addressKey = (address: string): string =>
  isIPv6(address) ? ipv6Bytes(address).toString('hex') : address
