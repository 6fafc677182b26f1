/**
 * planet: a routed multi-region world on one machine, made of namespaces. Owns what bears a planet's
 * name: its namespaces, processes, links, and folders below /run/godwit and /var/lib/godwit.
 * Reading order: topology.ts (what an author writes), plan.ts (what follows from it), build.ts,
 * node.ts, links.ts, world.ts (what can be done to it), teardown.ts; path-choice.ts is the model that
 * convergence.ts holds the routers against; delay/ has the links that are as long as the Earth's.
 */
export type { BuildOptions, Progress } from './build.ts'
export { buildPlanet, removePlanet } from './build.ts'
export { waitConverged } from './convergence.ts'
export type { PlanetErrorCode } from './errors.ts'
export { PlanetError } from './errors.ts'
export type { Forward } from './forward.ts'
export { startForward } from './forward.ts'
export { BOX_TOPOLOGY, loadTopology } from './load-topology.ts'
export type { PlanetNode } from './node.ts'
export type { Outage } from './path-choice.ts'
export { reachableHosts } from './path-choice.ts'
export type { LinkPlan, NodePlan, WorldPlan } from './plan.ts'
export { planWorld } from './plan.ts'
export type { LinkStatus, NodeStatus, WorldStatus } from './status.ts'
export { worldStatus } from './status.ts'
export { listPlanets } from './teardown.ts'
export type { Topology } from './topology.ts'
export { type RequestLoopOptions, requestLoop, whoamiServer } from './trial/programs.ts'
export type { RequestRecord } from './trial/request-loop.ts'
export { World } from './world.ts'
