import { AddressBook, type AddressEntry } from './address-book.ts'
import { AppEntry, MachineEntry, type PortRoute, ServiceEntry } from './app-tree.ts'
import { HostnameIndex } from './hostname-index.ts'
import { keyOf, number, type PlatformRow, type TableName, text } from './platform-rows.ts'
import { Topology } from './topology.ts'

/** Why there is no route, in the order in which a connection meets it. */
export type NoRoute = 'address_unknown' | 'name_needed' | 'name_unknown' | 'port_unexposed'

export interface RoutingTableOptions {
  readonly ownHostId: string
  /** Of the apps' own names. @default none */
  readonly appDomain?: string
  /** Of this host: they lead to all apps that have a shared one, by name. @default none */
  readonly ownAddresses?: readonly string[]
  /** Told of rows that other indexes live on: certificates, challenges. */
  readonly onRow?: (table: TableName, row: PlatformRow, isThere: boolean) => void
}

/**
 * What the platform's rows say, indexed for connections. It is changed in place, row by row, in any order; all
 * of it stays as it is when rows stop coming. It keeps the rows, so that it can be saved as it is.
 */
export class RoutingTable {
  readonly topology: Topology
  readonly hostnames: HostnameIndex
  readonly #rows = new Map<TableName, Map<string, PlatformRow>>()
  readonly #apps = new Map<string, AppEntry>()
  readonly #appsByName = new Map<string, AppEntry>()
  readonly #machines = new Map<string, MachineEntry>()
  readonly #services = new Map<string, ServiceEntry>()
  readonly #addresses: AddressBook
  readonly #onRow: RoutingTableOptions['onRow']
  /** Rows that came, ever: a figure to export. */
  changeCount = 0

  constructor({ ownHostId, appDomain = '', ownAddresses = [], onRow }: RoutingTableOptions) {
    this.#addresses = new AddressBook(ownAddresses)
    this.topology = new Topology(ownHostId)
    this.hostnames = new HostnameIndex(appDomain)
    this.#onRow = onRow
  }

  rows(table: TableName): ReadonlyMap<string, PlatformRow> {
    return this.#rows.get(table) ?? new Map()
  }

  /** A row is there, or is different now. `nowMs` is monotonic. */
  put(table: TableName, row: PlatformRow, nowMs: number): void {
    const rows = this.#rows.get(table) ?? new Map<string, PlatformRow>()
    rows.set(keyOf(table, row), row)
    this.#rows.set(table, rows)
    this.changeCount += 1
    this.#put(table, row, nowMs)
    this.#onRow?.(table, row, true)
  }

  /** A row is gone. Only its key columns are looked at. */
  remove(table: TableName, row: PlatformRow): void {
    const rows = this.#rows.get(table)
    const key = keyOf(table, row)
    const known = rows?.get(key)
    if (rows === undefined || known === undefined) return
    rows.delete(key)
    this.changeCount += 1
    this.#remove(table, known)
    this.#onRow?.(table, known, false)
  }

  app(id: string): AppEntry | undefined {
    const app = this.#apps.get(id)
    return app?.isKnown ? app : undefined
  }

  appByName(name: string): AppEntry | undefined {
    return this.#appsByName.get(name)
  }

  apps(): Iterable<AppEntry> {
    return this.#apps.values()
  }

  machine(id: string): MachineEntry | undefined {
    const machine = this.#machines.get(id)
    return machine?.isKnown ? machine : undefined
  }

  address(address: string): AddressEntry | undefined {
    return this.#addresses.get(address)
  }

  addresses(): Iterable<AddressEntry> {
    return this.#addresses
  }

  /**
   * The route of a connection or request.
   *
   * @param address that the client connected to, as node:net prints it
   * @param hostname from SNI or Host, in lower case and without a port; undefined while nobody said one.
   *   A dedicated address needs none and pays no heed to it.
   */
  lookup(
    address: string,
    port: number,
    protocol: 'tcp' | 'udp',
    hostname?: string,
  ): PortRoute | NoRoute {
    const entry = this.#addresses.get(address)
    if (entry === undefined) return 'address_unknown'
    const app = entry.kind === 'shared_v4' ? this.#named(entry, hostname) : this.#onlyOf(entry)
    if (typeof app === 'string') return app
    return app.route(protocol, port, this.topology) ?? 'port_unexposed'
  }

  /** The app that a host name belongs to, wherever its addresses are. */
  appOfHostname(hostname: string): AppEntry | undefined {
    const found = this.hostnames.find(hostname)
    if (found === undefined) return undefined
    return 'id' in found ? this.app(found.id) : this.appByName(found.name)
  }

  /** The machine's host said that it runs and passes its checks: rows that say so are still under way. */
  assumeReady(machine: MachineEntry, isReady: boolean): void {
    const isAssumed = isReady && !machine.isConfirmed
    if (machine.isAssumedReady === isAssumed) return
    machine.isAssumedReady = isAssumed
    if (machine.app !== undefined) machine.app.version += 1
  }

  setDraining(machine: MachineEntry, isDraining: boolean): void {
    if (machine.isDraining === isDraining) return
    machine.isDraining = isDraining
    if (machine.app !== undefined) machine.app.version += 1
  }

  /** Distances and reachability come from elsewhere too: see Topology. */
  setReachable(hostId: string, isReachable: boolean): void {
    this.topology.setReachable(hostId, isReachable)
  }

  #onlyOf({ appIds }: AddressEntry): AppEntry | NoRoute {
    for (const id of appIds) {
      const app = this.app(id)
      if (app !== undefined) return app
    }
    return 'address_unknown'
  }

  #named({ appIds }: AddressEntry, hostname: string | undefined): AppEntry | NoRoute {
    if (hostname === undefined) return 'name_needed'
    const app = this.appOfHostname(hostname)
    return app === undefined || !appIds.has(app.id) ? 'name_unknown' : app
  }

  #put(table: TableName, row: PlatformRow, nowMs: number): void {
    if (table === 'machines') this.#putMachine(row, nowMs)
    else if (table === 'services') this.#putService(row)
    else if (table === 'checks') this.#putCheck(row)
    else if (table === 'apps') this.#putApp(row)
    else if (table === 'ips') this.#addresses.put(row)
    else if (table === 'certs') this.hostnames.put(row)
    else if (table === 'custom_certs') this.hostnames.putCustom(row)
    else if (table === 'hosts') this.topology.putHost(row)
    else if (table === 'host_links') this.topology.putLink(row)
    else if (table === 'regions') this.topology.putRegion(row)
  }

  /** A distance that is not measured any more is still the best guess: `host_links` loses nothing. */
  #remove(table: TableName, row: PlatformRow): void {
    if (table === 'machines') this.#removeMachine(row)
    else if (table === 'services') this.#removeService(row)
    else if (table === 'checks') this.#removeCheck(row)
    else if (table === 'apps') this.#removeApp(row)
    else if (table === 'ips') this.#addresses.remove(row)
    else if (table === 'certs') this.hostnames.remove(text(row, 'hostname'), text(row, 'host_id'))
    else if (table === 'custom_certs') this.hostnames.removeCustom(text(row, 'hostname'))
    else if (table === 'hosts') this.topology.removeHost(text(row, 'id'))
    else if (table === 'regions')
      this.topology.removeRegion(text(row, 'name'), text(row, 'host_id'))
  }

  #appEntry(id: string): AppEntry {
    const known = this.#apps.get(id)
    if (known !== undefined) return known
    const app = new AppEntry(id)
    this.#apps.set(id, app)
    return app
  }

  #putApp(row: PlatformRow): void {
    const app = this.#appEntry(text(row, 'id'))
    if (this.#appsByName.get(app.name) === app) this.#appsByName.delete(app.name)
    app.put(row)
    this.#appsByName.set(app.name, app)
  }

  #removeApp(row: PlatformRow): void {
    const app = this.#appEntry(text(row, 'id'))
    if (this.#appsByName.get(app.name) === app) this.#appsByName.delete(app.name)
    app.isKnown = false
    app.version += 1
    this.#forgetApp(app)
  }

  #machineEntry(id: string): MachineEntry {
    const known = this.#machines.get(id)
    if (known !== undefined) return known
    const machine = new MachineEntry(id)
    this.#machines.set(id, machine)
    return machine
  }

  #putMachine(row: PlatformRow, nowMs: number): void {
    const machine = this.#machineEntry(text(row, 'id'))
    const app = this.#appEntry(text(row, 'app_id'))
    if (machine.app !== app) {
      this.#leaveApp(machine)
      machine.app = app
      app.machines.add(machine)
    }
    machine.host = this.topology.host(text(row, 'host_id'))
    const before = signatureOf(machine)
    machine.put(row, nowMs)
    const share = number(row, 'load')
    if (machine.host !== this.topology.own) {
      for (const service of machine.services) service.toldShare(share)
    }
    if (machine.isConfirmed) machine.isAssumedReady = false
    if (signatureOf(machine) !== before) app.version += 1 // news of its load alone changes no route
  }

  #removeMachine(row: PlatformRow): void {
    const machine = this.#machineEntry(text(row, 'id'))
    machine.isKnown = false
    machine.state = 'destroyed'
    this.#leaveApp(machine)
    this.#forgetMachine(machine)
  }

  #leaveApp(machine: MachineEntry): void {
    const { app } = machine
    if (app === undefined) return
    app.machines.delete(machine)
    app.version += 1
    machine.app = undefined
    this.#forgetApp(app)
  }

  #putService(row: PlatformRow): void {
    const protocol = text(row, 'protocol')
    if (protocol !== 'tcp' && protocol !== 'udp') return
    const machine = this.#machineEntry(text(row, 'machine_id'))
    const key = keyOf('services', row)
    const service =
      this.#services.get(key) ?? new ServiceEntry(machine, protocol, number(row, 'internal_port'))
    this.#services.set(key, service)
    service.put(row)
    machine.services.add(service)
    if (machine.app !== undefined) machine.app.version += 1
  }

  #removeService(row: PlatformRow): void {
    const key = keyOf('services', row)
    const service = this.#services.get(key)
    if (service === undefined) return
    this.#services.delete(key)
    const { machine } = service
    machine.services.delete(service)
    if (machine.app !== undefined) machine.app.version += 1
    this.#forgetMachine(machine)
  }

  #putCheck(row: PlatformRow): void {
    const machine = this.#machineEntry(text(row, 'machine_id'))
    const wasPassing = machine.isPassing
    if (number(row, 'is_service') === 1) machine.checks.set(text(row, 'name'), text(row, 'status'))
    else machine.checks.delete(text(row, 'name'))
    if (machine.isConfirmed) machine.isAssumedReady = false
    this.#checked(machine, wasPassing)
  }

  #removeCheck(row: PlatformRow): void {
    const machine = this.#machineEntry(text(row, 'machine_id'))
    const wasPassing = machine.isPassing
    machine.checks.delete(text(row, 'name'))
    this.#checked(machine, wasPassing)
    this.#forgetMachine(machine)
  }

  #checked(machine: MachineEntry, wasPassing: boolean): void {
    if (machine.app !== undefined && machine.isPassing !== wasPassing) machine.app.version += 1
  }

  /** Entries without a row live only as long as other rows refer to them. */
  #forgetMachine(machine: MachineEntry): void {
    if (machine.isKnown || machine.services.size > 0 || machine.checks.size > 0) return
    this.#machines.delete(machine.id)
  }

  #forgetApp(app: AppEntry): void {
    if (!app.isKnown && app.machines.size === 0) this.#apps.delete(app.id)
  }
}

/** What of a machine's row routes depend on. */
const signatureOf = (machine: MachineEntry): string =>
  `${machine.availability} ${machine.region} ${machine.host?.id} ${machine.instanceId} ${machine.address} ${machine.isStandby}`
