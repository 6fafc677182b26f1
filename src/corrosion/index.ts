/**
 * corrosion: replicated SQLite without consensus. Owns nothing global: each host writes what is true of
 * itself. There today: membership, as a protocol core without I/O.
 * Reading order: membership/member.ts (what is said of a node), membership/swim.ts (the protocol),
 * membership/swim.sim.ts (its promises).
 */
export type { Health, Identity, Rumour } from './membership/member.ts'
export type { SwimAction, SwimEvent } from './membership/swim.ts'
export { Swim } from './membership/swim.ts'
export type { SwimMessage } from './membership/swim-message.ts'
export { RUMOURS_MAX } from './membership/swim-message.ts'
export type { SwimOptions } from './membership/swim-options.ts'
export { DEFAULT_SWIM_OPTIONS } from './membership/swim-options.ts'
