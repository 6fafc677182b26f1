import type { HostId, Region } from './host.ts'

/** Why a host does not take a machine. Stable: operators and flaps match on them. */
export const REFUSAL_REASONS = [
  // It lacks room.
  'cpus',
  'memory',
  'machines',
  'volume_bytes',
  // It takes nothing now.
  'cordoned',
  'draining',
  'busy',
  // It is not a host of the kind asked for.
  'other_region',
  'other_host',
  'hardware',
  'dedication',
  'volume_elsewhere',
  'not_beside',
  'not_apart',
  'exclusive',
  // It could not be talked with.
  'reservation_gone',
  'malformed',
  'silent',
  'nobody',
] as const
export type RefusalReason = (typeof REFUSAL_REASONS)[number]

export interface Refusal {
  readonly reason: RefusalReason
  /** For lack of room: how much was asked for and how much is free, in `unit`. */
  readonly asked?: number
  readonly free?: number
}

/** A refusal and whose it is. No host: `nobody` listens in that region, or all were `silent`. */
export interface HostRefusal extends Refusal {
  readonly region: Region
  readonly host?: HostId
}

/** Reasons that end when something else ends: the same request may be taken later. */
export const isLackOfRoom = ({ reason }: Refusal): boolean =>
  reason === 'cpus' || reason === 'memory' || reason === 'machines' || reason === 'volume_bytes'

/** The host takes no machines at present, whatever is asked. */
export const isClosed = ({ reason }: Refusal): boolean =>
  reason === 'cordoned' || reason === 'draining' || reason === 'busy'

/** Nothing was decided by a host: it did not answer, or nobody was there. */
export const isSilence = ({ reason }: Refusal): boolean =>
  reason === 'silent' || reason === 'nobody'

/** The first words are those that clients of the Machines API match on. */
const sentences: Readonly<Record<RefusalReason, string>> = {
  cpus: 'insufficient CPUs available to fulfill request',
  memory: 'insufficient memory available to fulfill request',
  machines: 'insufficient IPs available to fulfill request',
  volume_bytes: 'insufficient resources available to fulfill request: volume space',
  cordoned: 'deploys to this host are temporarily disabled: it is cordoned',
  draining: 'deploys to this host are temporarily disabled: it is being drained',
  busy: 'the host has as many open reservations as it takes',
  other_region: 'the host is in another region',
  other_host: 'another host was asked for',
  hardware: 'the host is of another hardware kind',
  dedication: 'the host is dedicated to others, or not dedicated as asked',
  volume_elsewhere: 'the volume is on another host',
  not_beside: 'what the machine must stand beside is on another host',
  not_apart: 'the host holds what the machine must stand apart from',
  exclusive: 'the host holds another one of the same exclusive kind',
  reservation_gone: 'the reservation has ended',
  malformed: 'the host could not read the request',
  silent: 'no answer came in time',
  nobody: 'no host listens there',
}

const units: Partial<Record<RefusalReason, string>> = {
  cpus: 'threads',
  memory: 'MiB',
  machines: 'machines',
  volume_bytes: 'bytes',
}

/** One sentence for people, with figures where there are some. */
export function refusalText({ reason, asked, free }: Refusal): string {
  const sentence = sentences[reason]
  if (asked === undefined || free === undefined) return sentence
  const unit = units[reason] ?? ''
  return `${sentence} (asked ${asked} ${unit}, free ${free})`
}
