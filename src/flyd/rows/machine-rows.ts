import { guestOf } from '../guest-size.ts'
import type { MachineSeen } from '../model/machine-seen.ts'
import type { VolumeSeen } from '../model/volume-seen.ts'
import type { Row } from './row.ts'

/**
 * Whether the rows of a machine are another host's to write: the one that it leaves until this one has it for
 * good, and from then on the new one. Both write under the machine's id.
 */
export const isTheirs = ({ state, migration }: MachineSeen): boolean =>
  state === 'migrated' ||
  migration?.side === 'in' ||
  (migration?.side === 'out' && migration.phase === 'leaving')

/** A machine with what it offers. What it is called and configured as goes whole; it holds no secrets. */
export function machineRows(machine: MachineSeen, hostId: string): Row[] {
  const isGone = machine.state === 'destroyed' || machine.state === 'destroying'
  return [machineRow(machine, hostId), ...(isGone ? [] : serviceRows(machine, hostId))]
}

function machineRow(machine: MachineSeen, hostId: string): Row {
  const { metadata = {}, ...config } = machine.config
  const { cpuKind, cpus, memoryMb } = guestOf(machine.config)
  return {
    table: 'machines',
    key: [machine.id],
    cells: {
      host_id: hostId,
      app_id: machine.appId,
      org_id: machine.orgId,
      network_id: machine.networkId,
      name: machine.name,
      region: machine.region,
      state: machine.state,
      instance_id: machine.version,
      process_group: metadata['fly_process_group'] ?? metadata['process_group'] ?? '',
      image_ref: JSON.stringify(machine.imageRef ?? {}),
      config: JSON.stringify(config),
      events: JSON.stringify(machine.events),
      private_ip: machine.privateIp ?? '',
      private_ipv4: machine.privateIpv4 ?? '',
      is_cordoned: Number(machine.isCordoned),
      cpu_kind: cpuKind,
      cpus,
      memory_mb: memoryMb,
      standby_for: JSON.stringify(config['standbys'] ?? []),
      metadata: JSON.stringify(metadata),
      created_at: machine.createdAtMs,
      updated_at: machine.updatedAtMs,
    },
  }
}

/** As `services` of a machine's configuration has them; one for each port inside. */
interface ServiceJson {
  readonly protocol?: unknown
  readonly internal_port?: unknown
  readonly ports?: unknown
  readonly concurrency?: {
    readonly type?: unknown
    readonly soft_limit?: unknown
    readonly hard_limit?: unknown
  } | null
  readonly autostop?: unknown
  readonly autostart?: unknown
  readonly min_machines_running?: unknown
}

function serviceRows({ id, appId, config }: MachineSeen, hostId: string): Row[] {
  const services = Array.isArray(config['services']) ? (config['services'] as ServiceJson[]) : []
  const rows = new Map<string, Row>()
  for (const service of services) {
    if (typeof service !== 'object' || service === null) continue
    const protocol = service.protocol === 'udp' ? 'udp' : 'tcp'
    const port = Number(service.internal_port)
    if (!Number.isInteger(port)) continue
    const { type, soft_limit: soft, hard_limit: hard } = service.concurrency ?? {}
    rows.set(`${protocol} ${port}`, {
      table: 'services',
      key: [id, protocol, port],
      cells: {
        host_id: hostId,
        app_id: appId,
        ports: JSON.stringify(service.ports ?? []),
        concurrency_type: type === 'requests' ? 'requests' : 'connections',
        soft_limit: integerOrNull(soft),
        hard_limit: integerOrNull(hard),
        autostop: autostopOf(service.autostop),
        // A service that does not say is started: what fly.toml and the routing rules promise.
        autostart: Number(
          config['disable_machine_autostart'] !== true && service.autostart !== false,
        ),
        min_machines_running: integerOrNull(service.min_machines_running) ?? 0,
      },
    })
  }
  return [...rows.values()]
}

const integerOrNull = (value: unknown) => (Number.isInteger(value) ? Number(value) : null)

/** Older clients send a boolean. */
function autostopOf(value: unknown): string {
  if (value === true || value === 'stop') return 'stop'
  return value === 'suspend' ? 'suspend' : 'off'
}

export function volumeRow(volume: VolumeSeen, hostId: string): Row {
  return {
    table: 'volumes',
    key: [volume.id],
    cells: {
      host_id: hostId,
      app_id: volume.appId,
      name: volume.name,
      region: volume.region,
      state: volume.state,
      size_gb: volume.sizeGb,
      is_encrypted: Number(volume.isEncrypted),
      machine_id: volume.machineId ?? null,
      created_at: volume.createdAtMs,
      updated_at: volume.updatedAtMs,
    },
  }
}
