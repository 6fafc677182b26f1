import { arch } from 'node:os'
import { type Log, systemClock, systemRandom } from '#base'
import type { CheckRunner } from '../checks/check-runner.ts'
import type { LocalHost } from '../local-host.ts'
import { corrosionRowStore } from '../rows/corrosion-row-store.ts'
import { type HostSelf, hostRows } from '../rows/host-rows.ts'
import { RowPublisher } from '../rows/row-publisher.ts'
import type { FlydConfig } from './flyd-config.ts'
import { clientOf } from './gateways.ts'
import { cpusOf, memoryMbOf } from './host-capacity.ts'
import type { HostModeKeeper } from './host-mode.ts'

interface Around {
  readonly log: Log
  readonly version: string
  readonly host: LocalHost
  readonly mode: HostModeKeeper
  /** Of this host, for others. */
  readonly backhaulIp: string
  readonly checksOf: () => CheckRunner | undefined
}

/** Tells corrosion what this host has. */
export function publishRows(
  config: FlydConfig,
  { log, version, host, mode, backhaulIp, checksOf }: Around,
): RowPublisher {
  const client = clientOf(config.corrosion)
  const startedAtMs = systemClock.nowMs()
  const stateOf = { open: 'ready', cordoned: 'cordoned', draining: 'draining' } as const
  let shown: HostSelf = {
    id: config.host,
    region: config.region,
    state: stateOf[mode.mode],
    version,
    backhaulIp,
    isGateway: config.is_gateway,
    isEdge: config.is_edge,
    arch: arch() === 'x64' ? 'amd64' : arch(),
    cpus: cpusOf(config.capacity),
    memoryMb: memoryMbOf(config.capacity),
    diskGb: config.pool.size_gb,
    startedAtMs,
    updatedAtMs: startedAtMs,
  }
  return new RowPublisher({
    hostId: config.host,
    store: corrosionRowStore(client, config.host),
    view: host.view,
    hostRows: () => {
      const state = stateOf[mode.mode]
      if (state !== shown.state) shown = { ...shown, state, updatedAtMs: systemClock.nowMs() }
      return hostRows(shown)
    },
    checkRows: (id) => {
      const machine = host.view.machine(id)
      return machine === undefined ? [] : checksOf()?.rows(machine)
    },
    clock: systemClock,
    random: systemRandom,
    log,
  })
}
