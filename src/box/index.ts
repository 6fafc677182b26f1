/**
 * box: the platform on a planet of this machine. Owns nothing but the files that it writes to the hosts' disks.
 * Reading order: planet-platform.ts (a host's parts), raise-platform.ts (all of it), hello-image.ts, visit.ts.
 */
export type { BoxErrorCode } from './errors.ts'
export { BoxError } from './errors.ts'
export { HELLO_APP, HELLO_LAYOUT, makeHelloImage } from './hello-image.ts'
export type { BoxHost, FlydSeen, FoundBoxOptions, Place } from './planet-platform.ts'
export { PlanetPlatform } from './planet-platform.ts'
export type { BoxRuntime, Raised, RaiseOptions, Web } from './raise-platform.ts'
export { APP_DOMAIN, ORGANIZATION, raisePlatform } from './raise-platform.ts'
export { visit } from './visit.ts'
