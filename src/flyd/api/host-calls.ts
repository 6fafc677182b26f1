import { type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import type { HostMigration, HostVolumes, MachineHost } from '../host.ts'
import type { HostOperations } from '../host-operations.ts'

/**
 * The calls of a host's API: `POST /v1/<name>` with the arguments of the method as a JSON list, all but
 * the signal. Names are API: never renamed. Unknown keys pass, for a newer caller may know more.
 */
export interface HostCall {
  /**
   * What a second run of the same call does. `read`: nothing, and the call ends when its caller goes
   * away. `repeatable`: what the first did. `once`: perhaps more; only its request id makes it safe.
   */
  readonly kind: 'read' | 'repeatable' | 'once'
  /** Why the list of arguments does not fit; undefined: it does. */
  readonly problem: (args: unknown) => string | undefined
}

const ARGUMENT_CHARS_MAX = 4096
const text = Type.String({ maxLength: ARGUMENT_CHARS_MAX })
const optionalText = Type.Optional(text)
const count = Type.Integer({ minimum: 0 })
const nonce = optionalText
const stop = { signal: optionalText, timeoutMs: Type.Optional(Type.Number({ minimum: 0 })) }

const intent = {
  config: Type.Object({}),
  skipLaunch: Type.Boolean(),
  skipSecrets: Type.Boolean(),
  minSecretsVersion: count,
  leaseTtlS: count,
  owner: text,
}

const newMachine = Type.Object({
  ...intent,
  id: text,
  reservation: text,
  appId: text,
  appName: text,
  orgId: text,
  orgSlug: text,
  networkId: count,
  name: text,
  region: text,
  isCordoned: Type.Boolean(),
})

const volumeSettings = {
  snapshotRetention: Type.Optional(count),
  autoBackupEnabled: Type.Optional(Type.Boolean()),
}

const newVolume = Type.Object({
  ...volumeSettings,
  id: text,
  reservation: text,
  appId: text,
  orgId: text,
  name: text,
  region: text,
  sizeGb: Type.Integer({ minimum: 1 }),
  isEncrypted: Type.Boolean(),
  fstype: Type.Union([Type.Literal('ext4'), Type.Literal('raw')]),
  snapshotId: optionalText,
  sourceVolumeId: optionalText,
})

const execution = Type.Object({
  command: Type.Array(Type.String()),
  timeoutMs: Type.Number({ minimum: 0 }),
  stdin: Type.String(),
  container: optionalText,
  inMachine: Type.Boolean(),
})

const waiting = Type.Object({
  states: Type.Array(text),
  version: optionalText,
  fromEventId: optionalText,
  timeoutMs: Type.Number({ minimum: 0 }),
})

const metricsQuestion = Type.Object({
  orgId: text,
  apps: Type.Array(Type.Object({ id: text, name: text })),
  selectors: Type.Array(text),
})

const lease = Type.Object({ nonce, ttlS: count, owner: text, description: text })
const changes = Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()]))
const leased = Type.Object({ nonce })

const read = (...args: TSchema[]) => call('read', args)
const repeatable = (...args: TSchema[]) => call('repeatable', args)
const once = (...args: TSchema[]) => call('once', args)

const machineCalls: Readonly<Record<MachineCallName, HostCall>> = {
  create: repeatable(newMachine),
  machine: read(text),
  update: once(text, Type.Object({ ...intent, nonce, currentVersion: optionalText })),
  destroy: repeatable(text, Type.Object({ force: Type.Boolean(), nonce })),
  start: repeatable(text, leased),
  stop: repeatable(text, Type.Object({ ...stop, nonce })),
  suspend: repeatable(text, leased),
  restart: once(text, Type.Object({ ...stop, force: Type.Boolean(), nonce })),
  signal: once(text, text),
  setCordoned: repeatable(text, Type.Object({ isCordoned: Type.Boolean(), nonce })),
  wait: read(text, waiting),
  lease: read(text),
  acquireLease: once(text, lease),
  releaseLease: once(text, text),
  exec: once(text, execution),
  processes: read(text),
  memory: read(text),
  limitMemory: repeatable(text, count),
  reclaimMemory: once(text, count),
  metrics: read(metricsQuestion),
  events: read(text, count),
  versions: read(text),
  changeMetadata: repeatable(text, changes, Type.Object({ version: optionalText })),
}

const volumeCalls: Readonly<Record<keyof HostVolumes, HostCall>> = {
  create: repeatable(newVolume),
  get: read(text),
  update: repeatable(text, Type.Object(volumeSettings)),
  destroy: repeatable(text),
  extend: once(text, count),
  snapshots: read(text),
  createSnapshot: once(text),
}

const moved = Type.Object({
  ...{ id: text, name: text, appId: text, appName: text, orgId: text, orgSlug: text },
  ...{ networkId: count, region: text, config: Type.Object({}), version: text },
  ...{ replaced: Type.Array(text), versions: Type.Array(Type.Object({})) },
  ...{ volumeIds: Type.Array(text), isToRun: Type.Boolean(), bornAtMs: count },
})

const migrationCalls: Readonly<Record<keyof HostMigration, HostCall>> = {
  arrive: repeatable(moved, Type.Object({ reservation: text })),
  releaseIn: repeatable(text),
}

const mode = Type.Union([Type.Literal('open'), Type.Literal('cordoned'), Type.Literal('draining')])

const operationCalls: Readonly<Record<keyof HostOperations, HostCall>> = {
  report: read(),
  setMode: repeatable(mode),
}

export type MachineCallName = Exclude<keyof MachineHost, 'volumes' | 'migration' | 'connect'>
export type HostCallName =
  | MachineCallName
  | `volumes.${keyof HostVolumes}`
  | `migration.${keyof HostMigration}`
  | `operations.${keyof HostOperations}`

export const hostCalls: ReadonlyMap<HostCallName, HostCall> = new Map([
  ...(Object.entries(machineCalls) as [MachineCallName, HostCall][]),
  ...Object.entries(volumeCalls).map(
    ([name, one]) => [`volumes.${name as keyof HostVolumes}`, one] as const,
  ),
  ...Object.entries(migrationCalls).map(
    ([name, one]) => [`migration.${name as keyof HostMigration}`, one] as const,
  ),
  ...Object.entries(operationCalls).map(
    ([name, one]) => [`operations.${name as keyof HostOperations}`, one] as const,
  ),
])

/** What a call by this name does on this host. The arguments have been checked. */
export function runHostCall(
  { host, operations }: { readonly host: MachineHost; readonly operations: HostOperations },
  name: HostCallName,
  args: readonly unknown[],
  signal: AbortSignal,
): Promise<unknown> {
  const [part = '', method = part] = name.split('.')
  const parts: Readonly<Record<string, object>> = {
    volumes: host.volumes,
    migration: host.migration,
    operations,
  }
  const owner = parts[part] ?? host
  const run = Reflect.get(owner, method) as (...all: unknown[]) => Promise<unknown>
  return run.call(owner, ...args, signal)
}

function call(kind: HostCall['kind'], args: readonly TSchema[]): HostCall {
  const compiled = Compile(Type.Tuple([...args]))
  return {
    kind,
    problem(value) {
      if (compiled.Check(value)) return undefined
      const [first] = compiled.Errors(value)
      return `${first?.instancePath ?? ''} ${first?.message ?? 'is not what this call takes'}`.trim()
    },
  }
}
