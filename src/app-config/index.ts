/**
 * app-config: fly.toml. Owns the form of an app's configuration and what it means for its machines.
 * Pure but for reading the file.
 * Reading order: app-config.ts (the form, key by key), source.ts, legacy-forms.ts, read-app-config.ts and
 * check/ (what may be wrong), process-groups.ts, machine-size.ts, machine-config.ts (what it means).
 */
export type { AppConfig, Mount, Vm } from './app-config.ts'
export { AppConfigSchema } from './app-config.ts'
export { gigabytes } from './check/check-mounts.ts'
export type { AppConfigErrorCode } from './errors.ts'
export { AppConfigError } from './errors.ts'
export { findConfig, namedConfig } from './find-config.ts'
export type { JsonObject } from './json-object.ts'
export type { GroupMachine, ReadLocalFile } from './machine-config.ts'
export { groupMachine, PLATFORM_VERSION } from './machine-config.ts'
export type { Guest, SizeFault } from './machine-size.ts'
export { guestOfVm, presetNames, presetOf } from './machine-size.ts'
export { defaultGroup, isFor, processGroups, vmOf } from './process-groups.ts'
export type { PlacedProblem, ReadAppConfig } from './read-app-config.ts'
export { checkDocument, deployable, problemText, readAppConfig } from './read-app-config.ts'
export { configReference } from './reference.ts'
export type { Format } from './source.ts'
