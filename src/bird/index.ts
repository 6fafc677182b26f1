/**
 * bird: the configuration and the control socket of a BIRD routing daemon. Owns nothing.
 * Used by #planet for the internet between regions, and wherever anycast is announced.
 * Reading order: config.ts, control.ts, bfd-session.ts, reply.ts.
 */
export type { BfdSession } from './bfd-session.ts'
export type { BfdTimers, BgpNeighbour, BirdRouter, OriginatedPrefix } from './config.ts'
export { renderBirdConfig } from './config.ts'
export type { ProtocolState } from './control.ts'
export { BirdControl } from './control.ts'
export type { BirdErrorCode } from './errors.ts'
export { BirdError } from './errors.ts'
