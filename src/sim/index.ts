/**
 * sim: the deterministic simulator in which every protocol core runs. One seed makes a whole
 * world: virtual time, network, disks, clocks, crashes; the same seed makes the same history.
 * Used by tests and `*.sim.ts` files of all parts, never by what runs in production.
 * Reading order: world.ts, node.ts, run-loop.ts, then network.ts, stream.ts, disk-image.ts,
 * nemesis.ts; replicated-counter.sim.ts is a whole example.
 */
export type { AsyncDisk } from './async-disk.ts'
export type { Disk, DiskCrashPoint, DiskFailure } from './disk.ts'
export { CrashSignal, SimError, SystemFault } from './errors.ts'
export { SimFailure } from './failure.ts'
export type { CrashKind } from './kernel.ts'
export type { LinkRule, LinkSettings } from './links.ts'
export { regionLatency } from './links.ts'
export type { FaultPlan } from './nemesis.ts'
export type { NetworkOptions } from './network.ts'
export type { Boot, NodeEnv, NodeOptions, SimNode } from './node.ts'
export type { RunBound, StopReason } from './run-loop.ts'
export { runSeeds } from './run-seeds.ts'
export type { Scenario, ScenarioOptions } from './scenario.ts'
export { defineScenario, runSeed } from './scenario.ts'
export type { Stream, StreamHandlers } from './stream.ts'
export { testScenario } from './test-scenario.ts'
export type { WorldOptions } from './world.ts'
export { World } from './world.ts'
