/**
 * flaps: the Machines REST API. Owns nothing: it asks the tokens, reads the replica on this host, and
 * hands each change to whoever owns what changes. Any number of instances may run.
 *
 * Reading order: endpoint.ts (what a call is), endpoints/ (all of them), server.ts (how a request
 * becomes a call), gate.ts and caller.ts (who may), then the ports that others fill: directory.ts
 * (accounts), machine-host.ts (flyd), placement.ts (market), rows.ts (corrosion).
 */
export { corrosionRows } from './corrosion-rows.ts'
export { allEndpoints } from './endpoints/all.ts'
export type { FlapsErrorCode } from './errors.ts'
export { FlapsError, refuse } from './errors.ts'
export { LocalMachineNames } from './machine-names.ts'
export { marketPlacement } from './market-placement.ts'
export { RecentWrites } from './recent-writes.ts'
export { buildServer } from './server.ts'
export type { Services } from './services.ts'
