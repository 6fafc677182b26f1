import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Log, systemClock, systemRandom } from '#base'
import type { Accelerator } from '#guest'
import type { CapacityBook } from '#market'
import { MESH } from '#net6'
import { LogShipper } from '#observe'
import { SshPort } from '../access/ssh-port.ts'
import { ClusterKey } from '../api/cluster-key.ts'
import { serveHost } from '../api/host-server.ts'
import type { CheckRunner } from '../checks/check-runner.ts'
import { LmdbStore } from '../engine/lmdb-store.ts'
import { LocalHost } from '../local-host.ts'
import { type LogSink, MachineLogs, readLog } from '../logs/machine-logs.ts'
import { ShippedLogs } from '../logs/shipped-logs.ts'
import type { MachineView } from '../model/machine-view.ts'
import type { RowPublisher } from '../rows/row-publisher.ts'
import { openStandbyWatch } from '../standby/open-standby-watch.ts'
import { AdminServer } from './admin-server.ts'
import { evacuate } from './evacuate.ts'
import type { FlydConfig } from './flyd-config.ts'
import { FlydMetrics } from './flyd-metrics.ts'
import { authoritiesOf, clientOf, machineApiOf, secretsOf } from './gateways.ts'
import { HostAddresses } from './host-addresses.ts'
import { bookOf } from './host-capacity.ts'
import { HostModeKeeper } from './host-mode.ts'
import { statusOf } from './host-status.ts'
import { joinMarket, linkTo } from './join-market.ts'
import { parseListen } from './listen-address.ts'
import { onlyOne } from './only-one.ts'
import { openEffects, openNetwork } from './open-effects.ts'
import { publishRows } from './publish-rows.ts'
import { runChecks } from './run-checks.ts'
import { sweepStrays } from './sweep.ts'
import { tellMetrics } from './tell-metrics.ts'

export interface OpenFlydOptions {
  readonly log: Log
  readonly version: string
  /** Of virtual machines: `kvm` only where a guest has booted with it. @default tcg */
  readonly accelerator?: Accelerator
}

export interface RunningFlyd extends AsyncDisposable {
  readonly host: LocalHost
  readonly book: CapacityBook
  /** Resolves when the log cannot be written any more: end the process. */
  readonly broken: Promise<unknown>
  /** Resolves when this host was given another number in the network: end the process, and start it again. */
  readonly moved: Promise<void>
  readonly apiPort: number
  readonly adminPort: number
}

/**
 * The daemon of a host, over what its configuration names. Neither corrosion nor NATS nor any registry need
 * be there. Its end leaves the machines running; the next start takes them over.
 *
 * @throws FlydError flyd.conflict: it runs already, flyd.log_bad; VolumeError, GuestError, HostApiError
 */
export async function openFlyd(config: FlydConfig, options: OpenFlydOptions): Promise<RunningFlyd> {
  const { log, accelerator = 'tcg' } = options
  await using opened = new AsyncDisposableStack()
  await mkdir(config.folder, { recursive: true, mode: 0o700 })
  opened.use(onlyOne(join(config.folder, 'flyd.pid')))
  const key = ClusterKey.read(config.api.key_file, log)
  const store = opened.use(LmdbStore.open({ folder: config.folder }))
  const addresses = new HostAddresses(clientOf(config.corrosion), config.host)
  const link = linkTo(config, addresses, log)
  if (link !== undefined) opened.use(link)
  const kept = new MachineLogs({ folder: join(config.folder, 'logs'), clock: systemClock })
  const machines = Promise.withResolvers<MachineView>()
  const shipped =
    link &&
    new ShippedLogs({
      ...{ kept, hostId: config.host, shipper: opened.use(new LogShipper({ link, log })) },
      machines: machines.promise,
    })
  const logs: LogSink = shipped ?? kept
  const network = await openNetwork(config, clientOf(config.corrosion), log)
  const address = config.api.address === MESH ? network.meshAddress : config.api.address
  const secrets = secretsOf(config, key, addresses)
  const authorities = authoritiesOf(config, key, addresses)
  const askApi = machineApiOf(config, { key, addresses, machines: machines.promise })
  const around = { log, logs, secrets, authorities, askApi, network, addresses, accelerator }
  const effects = opened.use(await openEffects(config, around))
  const book = bookOf(config)
  let checks: CheckRunner | undefined
  const host: LocalHost = new LocalHost({
    ...{ hostId: config.host, store, effects, book, clock: systemClock, random: systemRandom, log },
    metricsOf: (question, signal) => figures.answer(question, signal),
    checksOf: (id) => {
      const machine = host.view.machine(id)
      return machine === undefined ? [] : (checks?.json(machine) ?? [])
    },
  })
  machines.resolve(host.view)
  const figures = tellMetrics(config, { view: host.view, effects, log })
  opened.defer(() => host.end())
  await sweepStrays(effects, host.view, { log, signal: AbortSignal.timeout(SWEEP_MS_MAX) })
  const mode = new HostModeKeeper(store, book, () => rows.hostChanged())
  const rows: RowPublisher = opened.use(
    publishRows(config, { ...options, host, mode, backhaulIp: address, checksOf: () => checks }),
  )
  if (shipped !== undefined) opened.use(shipped.follow(host.view))
  await host.begin()
  const ssh = opened.use(
    await SshPort.open({
      ...{ listen: network.listenForSsh, host, view: host.view, clock: systemClock, log },
    }),
  )
  checks = opened.use(runChecks({ hostId: config.host, host, effects, logs, rows, log }))
  const metrics = new FlydMetrics({
    ...{ view: host.view, engine: host.engine, book, checks, rows, ssh },
    guestCount: () => effects.guestCount,
  })
  const { evacuation } = opened.use(evacuate(config, { host, mode, key, addresses, log }))
  const status = () => statusOf(config, { ...options, host, book, mode, rows, effects, evacuation })
  const admin = opened.use(
    await AdminServer.listen(
      {
        status,
        metrics: () => metrics.registry.metrics(),
        logLines: (id, limit) => readLog(join(config.folder, 'logs'), id, limit),
        setMode: (next) => mode.set(next),
      },
      { listen: parseListen(config.admin.listen), socket: config.admin.socket, log },
    ),
  )
  const { socket } = config.corrosion
  if (socket !== undefined) {
    const agent = { client: clientOf(config.corrosion), socket }
    opened.use(openStandbyWatch({ ...agent, host, hostId: config.host, log }))
  }
  if (link !== undefined) opened.use(joinMarket(config, { host, effects, book, link, log }))
  const api = opened.use(
    await serveHost({
      ...{ host, key, log, listen: { host: address, port: config.api.port } },
      operations: {
        report: async () => status(),
        setMode: async (next) => {
          await mode.set(next)
          return status()
        },
      },
      answered: (name, code, ms) => metrics.answered(name, code, ms),
    }),
  )
  const ending = new AbortController()
  opened.defer(() => ending.abort(new Error('flyd ends')))
  const { promise: moved, resolve } = Promise.withResolvers<void>()
  network.moved(ending.signal).then(resolve, (err: unknown) => {
    if (!ending.signal.aborted) log.error({ err }, 'the number of this host cannot be read')
  })
  const held = opened.move()
  return {
    ...{ host, book, broken: host.ledger.broken, moved, apiPort: api.port, adminPort: admin.port },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

const SWEEP_MS_MAX = 5 * 60_000
