import type { MachineId } from '#base'
import { identify } from '#supervise'
import type { LocalHost } from './local-host.ts'
import type { LocalExit, LocalRecord } from './machine-record.ts'

/**
 * Takes a machine apart that has ended, or that nobody keeps any more: guest, network, and for a temporary
 * one its disks and record. Runs twice, and from wherever an earlier run died.
 */
export async function finishMachine(
  host: LocalHost,
  record: LocalRecord,
  exit: LocalExit,
): Promise<void> {
  await releaseMachine(host, record)
  const present = host.records.read(record.id)
  if (present === undefined) return // whoever started it removed it: it never ran
  const neverRan = present.startedAtMs === undefined && exit.error !== undefined
  if (record.isTemporary || neverRan) {
    await removeMachine(host, record)
    return
  }
  await host.change(() => {
    const { actor: _actor, ...rest } = host.records.read(record.id) ?? record
    host.records.write({ ...rest, phase: 'ended', exit })
  })
}

/** Everything that was made of it, and then the record of it. */
export async function removeMachine(host: LocalHost, record: LocalRecord): Promise<void> {
  await releaseMachine(host, record)
  const { disks } = await host.disks()
  await disks.remove(record.id)
  await host.withImages((images) => images.letGo(record.id))
  await host.change(() => host.records.remove(record.id))
}

async function releaseMachine(host: LocalHost, record: LocalRecord): Promise<void> {
  const { id, runtime } = record
  await (await host.runtime(record)).remove(id)
  await host.networks(runtime).remove(id)
  await (await host.disks()).disks.releaseVolumes(id)
}

/** This process goes on with the machine from here. */
export function takeOver(
  host: LocalHost,
  id: MachineId,
  change: Pick<LocalRecord, 'phase'>,
): LocalRecord | undefined {
  const record = host.records.read(id)
  const actor = identify(process.pid)
  if (record === undefined || actor === undefined) return undefined
  const mine: LocalRecord = { ...record, ...change, actor }
  host.records.write(mine)
  return mine
}
