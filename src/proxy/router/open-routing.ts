import type { Clock, Log, Random } from '#base'
import type { Following } from '#corrosion'
import { BackhaulDialer, type BackhaulStream } from '../backhaul/dialer.ts'
import type { StreamHandlers } from '../backhaul/link-stream.ts'
import { BackhaulServer } from '../backhaul/server.ts'
import { WorkerGate } from '../backhaul/worker-gate.ts'
import { CertificateStore } from '../certificates/certificate-store.ts'
import type { EdgeKeyRing } from '../certificates/edge-key-ring.ts'
import type { Certificate } from '../certificates.ts'
import type { ToRemote } from '../route.ts'
import type { MachineEntry } from '../routing-table/app-tree.ts'
import { followCorrosion } from '../routing-table/follow-corrosion.ts'
import { type PlatformRow, type TableName, text } from '../routing-table/platform-rows.ts'
import { RoutingTable } from '../routing-table/routing-table.ts'
import { loadTable } from '../routing-table/saved-table.ts'
import { TableSaver } from '../routing-table/table-saver.ts'
import type { OpenFiles } from '../statics/file-source.ts'
import { LocalStream } from '../statics/local-stream.ts'
import { STATICS_PORT } from '../statics/static-order.ts'
import { StaticsServer } from '../statics/statics-server.ts'
import { Autostop } from '../wake/autostop-shell.ts'
import type { AutostopTimes } from '../wake/autostop-times.ts'
import { HostWaker, type WakeHost } from '../wake/host-waker.ts'
import { type ClientFacts, openRemote } from './open-remote.ts'
import { ProxyRouter } from './router.ts'
import { RoutingCore } from './routing-core.ts'
import { ROUTING_LIMITS, type RoutingLimits } from './routing-limits.ts'

export interface RoutingOptions {
  readonly ownHostId: string
  /** `<app>.<domain>` are the apps' own names. */
  readonly appDomain: string
  /** Of this host, beside those that rows give to apps. */
  readonly ownAddresses?: readonly string[]
  /** Of corrosion's agent on this host. */
  readonly corrosion: { readonly url: string; readonly bearerToken?: string | undefined }
  /** Where the last known table is kept for the next start. */
  readonly tablePath: string
  /** On which all hosts listen for each other's backhaul. */
  readonly backhaulPort: number
  /** Inside the mesh; undefined: machines of this host are served to this host only. */
  readonly backhaulAddress: string | undefined
  readonly hostOf: (hostId: string) => WakeHost | undefined
  readonly keys: EdgeKeyRing
  readonly selfSigned?: (name: string) => Certificate | undefined
  /** Listens for the backhaul already: of the process before. */
  readonly backhaulListener?: number | undefined
  /** A row came, changed or went. */
  readonly onRow?: (table: TableName) => void
  /** Its WebSockets are to be told that it goes away: before autostop stops it, and when it is suspended. */
  readonly closeUpgrades?: (machine: MachineEntry) => void
  readonly limits?: Partial<RoutingLimits>
  readonly autostop?: AutostopTimes | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface Routing {
  readonly router: ProxyRouter
  readonly certificates: CertificateStore
  readonly table: RoutingTable
  readonly backhaul: BackhaulDialer
  readonly following: Following
  /** The stream of a decision that leads to another host: see openRemote. */
  open(
    decision: ToRemote,
    client: ClientFacts,
    handlers: StreamHandlers,
  ): BackhaulStream | undefined
  /** Listens for the backhaul. */
  readonly backhaulListener: number | undefined
  /** Writes the table for the process that follows. A disk that is full costs only its beginning. */
  save(): Promise<void>
  /** This process decides no more on its own: new streams of other hosts go elsewhere, nothing is stopped. */
  drain(): void
  /** Resolves when no other host has streams here; `lingerMs` after the deadline at the latest. */
  drained(deadlineMs: number, lingerMs: number): Promise<void>
  close(): Promise<void>
}

/**
 * Everything that decides, running: the table follows corrosion, and starts with what was known at the last stop, so
 * that a proxy without corrosion serves what it knew.
 *
 * @throws what the system says of sockets and files
 */
export async function openRouting(options: RoutingOptions): Promise<Routing> {
  const { clock, random, log, ownHostId, keys } = options
  const certificates = new CertificateStore({
    ...{ keys, log, nowMs: () => clock.nowMs() },
    ...{ selfSigned: options.selfSigned, appDomain: options.appDomain },
  })
  let core: RoutingCore | undefined
  const onRow = (name: TableName, row: PlatformRow, isThere: boolean) => {
    tellCertificates(certificates, name, row, isThere, log)
    core?.changed()
    options.onRow?.(name)
    if (name !== 'machines' || text(row, 'state') !== 'suspending') return
    // Whatever host has it, and whoever asked: a machine that is suspended can say nothing itself.
    const machine = table.machine(text(row, 'id'))
    if (machine !== undefined) options.closeUpgrades?.(machine)
  }
  const table = new RoutingTable({
    ...{ ownHostId, appDomain: options.appDomain, onRow },
    ownAddresses: options.ownAddresses ?? [],
  })
  const known = await loadTable(table, options.tablePath, clock.monotonicMs())
  log.info({ rows: known ?? 0 }, 'the routing table of the last stop')
  const autostop = new Autostop({
    ...{ table, clock, waker: new HostWaker(options.hostOf, clock), times: options.autostop },
    closeUpgrades: (machine) => {
      options.closeUpgrades?.(machine)
      server.tellLeaving(machine.id)
    },
    changed: () => core?.changed(),
  })
  const limits = { ...ROUTING_LIMITS, ...options.limits }
  core = new RoutingCore({ table, waker: autostop, clock, random, limits })
  const router = new ProxyRouter({ core })
  const backhaul = openDialer(options, core)
  const statics = new StaticsServer({ openFiles: filesOf(options), clock, log })
  const gate = new WorkerGate(core)
  const openFiles = (machine: string) => statics.connect(machine)
  const server = new BackhaulServer({ ownHostId, gate, openFiles, clock, log })
  if (options.backhaulAddress !== undefined) {
    await server.listen(options.backhaulPort, options.backhaulAddress, options.backhaulListener)
  }
  const stop = new AbortController()
  const { url, bearerToken } = options.corrosion
  const signal = stop.signal
  const following = followCorrosion({ url, bearerToken, table, clock, random, log })
  const saver = new TableSaver(table, options)
  const saving = saver.run(signal)
  return {
    ...{ router, certificates, table, backhaul, following },
    open: (decision, client, handlers) =>
      decision.host === ownHostId
        ? new LocalStream(statics.connect(decision.machine), handlers)
        : openRemote(backhaul, decision, client, handlers),
    get backhaulListener() {
      return server.listening
    },
    save: () => saver.save(),
    drain() {
      server.drain()
      autostop[Symbol.dispose]()
    },
    drained: (deadlineMs, lingerMs) => server.drained(deadlineMs, lingerMs),
    async close() {
      stop.abort()
      autostop[Symbol.dispose]()
      core?.[Symbol.dispose]()
      backhaul.close()
      statics[Symbol.dispose]()
      const corrosion = following[Symbol.asyncDispose]()
      await Promise.all([server.close(), corrosion, saving])
    },
  }
}

/** The files of machines are read by the flyd of this host. */
const filesOf =
  ({ hostOf, ownHostId }: RoutingOptions): OpenFiles =>
  async (machine, signal) => {
    const host = hostOf(ownHostId)
    if (host?.connect === undefined) throw new Error('no way to the flyd of this host is known')
    return await host.connect(machine, { port: STATICS_PORT }, signal)
  }

function openDialer(options: RoutingOptions, core: RoutingCore): BackhaulDialer {
  const { ownHostId, backhaulPort: port, clock, random, log } = options
  return new BackhaulDialer({
    ...{ ownHostId, port, clock, random, log },
    reachable: (hostId, isReachable) => {
      core.table.setReachable(hostId, isReachable)
      core.changed()
    },
    measured: (hostId, rttUs) => core.table.topology.measured(hostId, rttUs),
    leaving: (hostId, id) => {
      const machine = core.table.machine(id)
      if (machine?.host?.id === hostId) options.closeUpgrades?.(machine) // a host speaks for its own
    },
  })
}

function tellCertificates(
  store: CertificateStore,
  name: TableName,
  row: PlatformRow,
  isThere: boolean,
  log: Log,
): void {
  if (name === 'certs') {
    if (isThere) store.put(row)
    else store.remove(text(row, 'hostname'), text(row, 'host_id'))
  } else if (name === 'custom_certs') {
    if (isThere) store.putCustom(row)
    else store.removeCustom(text(row, 'hostname'))
  } else if (name === 'acme_challenges') {
    if (!isThere) store.removeChallenge(row)
    else {
      store.putChallenge(row).catch((error: unknown) => {
        log.warn({ err: error, hostname: text(row, 'hostname') }, 'a challenge cannot be shown')
      })
    }
  }
}
