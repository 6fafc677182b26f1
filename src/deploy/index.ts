/**
 * deploy: how a release reaches the machines of an app. Owns nothing: it reads the API and changes
 * machines one by one, so that it may end at any moment and go on later.
 * Reading order: deploy-plan.ts (what must change; pure), machine-facts.ts, change-machine.ts and
 * watch-machine.ts (one machine), strategy/ (all of them), deploy.ts (everything in order); scale-plan.ts
 * and scale.ts change how many there are, and how large; one-machine.ts changes one by itself; push-image.ts brings
 * an image from files.
 */
export { type DeployOptions, type DeployResult, deploy, type Strategy } from './deploy.ts'
export type { DeployWaits } from './deploy-context.ts'
export { defaultWaits } from './deploy-context.ts'
export type { DeployEvent, MachinePhase, Tell } from './deploy-event.ts'
export type { PlanChoice } from './deploy-plan.ts'
export type { DeployErrorCode } from './errors.ts'
export { DeployError } from './errors.ts'
export type { PublicIps } from './first-ips.ts'
export type { OneMachineOptions, OneUpdate, WatchChoice } from './one-machine.ts'
export { restartOne, updateOne, watchOne } from './one-machine.ts'
export type { Machines, Platform } from './platform.ts'
export { type PushOptions, pushImage } from './push-image.ts'
export type { Release } from './release.ts'
export type { GuestChange, ScaleOptions } from './scale.ts'
export { scaleCount, scaleGuest } from './scale.ts'
export type { Deployed, ScaleInput, ScalePlan } from './scale-plan.ts'
export { planScale } from './scale-plan.ts'
