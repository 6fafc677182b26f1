/** What is known of guests from their folders alone, the same for all runtimes. */
import { statSync } from 'node:fs'
import { errorCode, type MachineId } from '#base'
import { isAlive } from '#supervise'
import { GuestError } from './errors.ts'
import { GuestFolder, type GuestRecord } from './guest-folder.ts'
import type { GuestSpec } from './guest-spec.ts'
import type { GuestListing, GuestState } from './runtime.ts'

/** Of a runtime whose suspended guests have no process. */
export function stateOf(record: GuestRecord | undefined): GuestState {
  if (record?.phase === 'suspended') return 'suspended'
  const { phase, process } = record ?? {}
  return phase === 'running' && process !== undefined && isAlive(process) ? 'running' : 'ended'
}

export function listGuests(
  stateDir: string,
  stateIn: (folder: GuestFolder) => GuestState = (folder) => stateOf(folder.read()),
): GuestListing[] {
  return GuestFolder.list(stateDir).map((id) => ({
    id,
    state: stateIn(new GuestFolder(stateDir, id)),
  }))
}

/** @throws GuestError guest.not_suspended */
export function suspendedRecord(folder: GuestFolder, state: GuestState): GuestRecord {
  const record = folder.read()
  if (record !== undefined && state === 'suspended') return record
  throw new GuestError('guest.not_suspended', {
    what: 'there is no suspended guest of this id',
    values: { machine: folder.id },
  })
}

/** @throws GuestError guest.spec_bad: one is missing */
export function checkDisks(id: MachineId, disks: readonly { readonly path: string }[]): void {
  for (const { path } of disks) {
    try {
      statSync(path)
    } catch (cause) {
      if (errorCode(cause) !== 'ENOENT') throw cause
      throw diskMissing(id, path)
    }
  }
}

export function diskMissing(machine: MachineId, path: string): GuestError {
  return new GuestError('guest.spec_bad', {
    what: 'a disk of the machine is missing',
    values: { machine, path },
  })
}

export function ended({ id }: Pick<GuestSpec, 'id'>, cause: unknown): GuestError {
  return new GuestError('guest.ended', {
    what: 'the machine runs no more',
    values: { machine: id },
    cause,
  })
}
