/**
 * base: what every part stands on. Errors, clock and randomness.
 * Reading order: errors.ts, clock.ts, random.ts.
 */
export type { Clock } from './clock.ts'
export { systemClock } from './clock.ts'
export type { ErrorCatalogue, ErrorJson, ErrorTraits, Fault } from './errors.ts'
export { errorCode, GodwitError } from './errors.ts'
export type { Random } from './random.ts'
export { seededRandom, systemRandom } from './random.ts'
