import { type MachineJson, timeText } from '../machine-json.ts'
import type { MachineRecord } from './machine-record.ts'

const noImage = { registry: '', repository: '', tag: '', digest: '', labels: {} }

/** A machine as the API shows it. `nonce` only for who has just taken the lease. */
export function machineJson(
  record: MachineRecord,
  { checks, withNonce = false }: { checks: readonly unknown[]; withNonce?: boolean },
): MachineJson {
  const { lease, config } = record
  return {
    id: record.id,
    name: record.name,
    state: record.state,
    region: record.region,
    image_ref: { ...(record.imageRef ?? { ...noImage, repository: config.image ?? '' }) },
    instance_id: record.version,
    version: record.version,
    private_ip: record.privateIp ?? '',
    created_at: timeText(record.createdAtMs),
    updated_at: timeText(record.updatedAtMs),
    config: { init: {}, dns: {}, ...config },
    events: record.events,
    checks,
    host_status: 'ok',
    cordoned: record.isCordoned,
    ...(withNonce && lease !== undefined ? { nonce: lease.nonce } : {}),
  }
}
