/**
 * machine: prepared machines. Turns what a machine is to be into what a runtime boots and what its init is
 * told: image to base, base to root, volumes and swap to disks, names to ids. Owns nothing: images belong
 * to #image, devices to #volume, guests to #guest; who keeps machines (flyd, the local mode) calls this.
 * Reading order: machine-config.ts (what is asked), machine-images.ts, machine-disks.ts, plan-machine.ts
 * (all decisions, no I/O), start-machine.ts.
 */
export type { MachineErrorCode } from './errors.ts'
export { MachineError } from './errors.ts'
export type {
  MachineConfig,
  MachineFile,
  MachineMount,
  MachineNetwork,
  MachineProcess,
} from './machine-config.ts'
export type { MachineDisksOptions, PreparedDisks } from './machine-disks.ts'
export { MachineDisks } from './machine-disks.ts'
export type {
  ImageSourceName,
  MachineImagesOptions,
  PreparedImage,
  PrepareOptions,
} from './machine-images.ts'
export { MachineImages } from './machine-images.ts'
export type { MachinePlan, PlanInput } from './plan-machine.ts'
export { planMachine } from './plan-machine.ts'
export { startMachine } from './start-machine.ts'
export { stopSignalOf } from './stop-signal.ts'
