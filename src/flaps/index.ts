/**
 * flaps: the Machines REST API. Owns nothing: it asks the tokens, reads the replica on this host, and
 * hands each change to whoever owns what changes. Any number of instances may run.
 *
 * Reading order: endpoint.ts (what a call is), endpoints/ (all of them), route.ts (how a request becomes
 * a call), gate.ts, caller.ts and access-rule.ts (who may), then the ports that others fill: directory.ts
 * (accounts), fleet.ts (flyd), placement.ts (market), rows.ts (corrosion); open-flaps.ts wires them.
 */
export type { AccountsDirectoryOptions } from './accounts-directory.ts'
export { accountsDirectory } from './accounts-directory.ts'
export type { AddressPools } from './address-pool.ts'
export { corrosionRows } from './corrosion-rows.ts'
export type { Directory } from './directory.ts'
export { allEndpoints } from './endpoints/all.ts'
export type { FlapsErrorCode } from './errors.ts'
export { FlapsError, refuse } from './errors.ts'
export { loadFlapsConfig } from './flaps-config.ts'
export type { Fleet } from './fleet.ts'
export type { MachineNames } from './machine-names.ts'
export { LocalMachineNames } from './machine-names.ts'
export { marketPlacement } from './market-placement.ts'
export { openFlaps } from './open-flaps.ts'
export { openApiDocument } from './openapi.ts'
export type { Place, Placement, PlaceRequest } from './placement.ts'
export type { Rates } from './rate-limits.ts'
export { documentedRates } from './rate-limits.ts'
export { RecentWrites } from './recent-writes.ts'
export type { Rows } from './rows.ts'
export type { FlapsOptions, RunningFlaps } from './run-flaps.ts'
export { runFlaps } from './run-flaps.ts'
export type { Services } from './services.ts'
