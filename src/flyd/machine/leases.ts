import type { Clock, Random } from '#base'
import { refuse } from '../errors.ts'
import { timeText } from '../machine-json.ts'
import type { LeaseJson } from '../model/lease.ts'
import type { MachineRecord } from './machine-record.ts'

const NONCE_BYTES = 6

/** Undefined: nobody holds one, or no more. */
export function leaseOf({ lease }: MachineRecord, nowMs: number): LeaseJson | undefined {
  return lease === undefined || lease.expires_at * 1000 <= nowMs ? undefined : lease
}

/** @throws FlydError flyd.conflict: leased, and this is not its nonce */
export function checkLease(record: MachineRecord, nonce: string | undefined, nowMs: number): void {
  const present = leaseOf(record, nowMs)
  if (present !== undefined && present.nonce !== nonce) throw leaseHeld(record.id, present)
}

export const leaseHeld = (id: string, { owner, expires_at: expiresAt }: LeaseJson) =>
  refuse(
    'flyd.conflict',
    `aborted: machine ID ${id} lease currently held by ${owner}, expires at ${timeText(expiresAt * 1000)}`,
  )

/** The present lease for longer, with its nonce; or a new one. */
export function newLease(
  record: MachineRecord,
  { ttlS, owner, description = '' }: { ttlS: number; owner: string; description?: string },
  { clock, random }: { clock: Clock; random: Random },
): LeaseJson {
  const nowMs = clock.nowMs()
  const present = leaseOf(record, nowMs)?.nonce
  return {
    nonce: present ?? Buffer.from(random.bytes(NONCE_BYTES)).toString('hex'),
    expires_at: Math.floor(nowMs / 1000) + ttlS,
    owner,
    description,
    version: record.version,
  }
}
