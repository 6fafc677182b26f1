/**
 * What a configuration means for the machines of one process group, as the Machines API takes it.
 * Sections that are for other groups leave no trace.
 */
import { shellWords } from '#base'
import type {
  AppConfig,
  Check,
  ConfigFile,
  HttpCheck,
  HttpService,
  Mount,
  Service,
  TcpCheck,
} from './app-config.ts'
import { gigabytes } from './check/check-mounts.ts'
import { AppConfigError } from './errors.ts'
import type { JsonObject } from './json-object.ts'
import { guestOfVm } from './machine-size.ts'
import { list } from './problem.ts'
import { isFor, processGroups, vmOf } from './process-groups.ts'

/** Reads a file that the configuration names, by its path there. */
export type ReadLocalFile = (path: string) => Buffer

export interface GroupMachine {
  readonly group: string
  /**
   * The machine's new configuration, from what it has now. Without an image and volume, which a deploy
   * adds. What a configuration file has no word for (schedule, dns, standbys, ...) stays.
   */
  readonly config: JsonObject
  /** The volume that each machine of the group needs. */
  readonly mount: Mount | undefined
}

/** @throws AppConfigError app_config.no_group, and what `readLocalFile` throws */
export function groupMachine(
  config: AppConfig,
  group: string,
  { current = {}, readLocalFile }: { current?: JsonObject; readLocalFile: ReadLocalFile },
): GroupMachine {
  if (!processGroups(config).includes(group)) {
    throw new AppConfigError('app_config.no_group', {
      what: 'there is no such process group',
      values: { group },
      fix: `use ${list(processGroups(config))}`,
    })
  }
  const mount = config.mounts?.find((one) => isFor(one, group, config))
  const owned = withoutUndefined({
    env: envOf(config, group),
    init: initOf(config, group),
    guest: guestFor(config, group) ?? current['guest'],
    metadata: { ...(current['metadata'] as JsonObject | undefined), ...metadataOf(group) },
    services: some(servicesOf(config, group)),
    checks: checksOf(config, group),
    mounts: some(mount === undefined ? [] : [mountOf(mount)]),
    files: some(filesOf(config, group, readLocalFile)),
    statics: some(config.statics ?? []),
    metrics: metricsOf(config, group),
    restart: restartOf(config, group),
    stop_config: stopConfigOf(config),
  })
  const kept = Object.entries(current).filter(([key]) => !OWNED.has(key))
  return { group, config: { ...Object.fromEntries(kept), ...owned }, mount }
}

/** Keys that a deploy writes anew: what the file no longer says is gone. */
const OWNED = new Set([
  'env',
  'init',
  'guest',
  'metadata',
  'services',
  'checks',
  'mounts',
  'files',
  'statics',
  'metrics',
  'restart',
  'stop_config',
])

export const PLATFORM_VERSION = 'v2'

const metadataOf = (group: string) => ({
  fly_platform_version: PLATFORM_VERSION,
  fly_process_group: group,
})

function envOf({ env = {}, primary_region: region }: AppConfig, group: string): JsonObject {
  return {
    ...env,
    FLY_PROCESS_GROUP: group,
    ...(region === undefined ? {} : { PRIMARY_REGION: region }),
  }
}

/** A group's command replaces the image's Cmd; without one the experimental keys speak. */
function initOf(config: AppConfig, group: string): JsonObject {
  const { processes = {}, experimental = {}, swap_size_mb: swap } = config
  const command = shellWords(processes[group] ?? '') ?? []
  return withoutUndefined({
    exec: some(experimental.exec ?? []),
    entrypoint: some(experimental.entrypoint ?? []),
    cmd: some(command.length > 0 ? command : (experimental.cmd ?? [])),
    swap_size_mb: swap,
  })
}

/** Undefined: the machine keeps the size that it has. */
function guestFor(config: AppConfig, group: string): JsonObject | undefined {
  const vm = vmOf(config, group)
  if (vm === undefined) return undefined
  const guest = guestOfVm(vm)
  if ('what' in guest) {
    throw new AppConfigError('app_config.bad', {
      what: `vm.${guest.key} ${guest.what}`,
      values: { group },
    })
  }
  const dedication = guest.host_dedication_id ?? config.host_dedication_id
  return withoutUndefined({ ...guest, host_dedication_id: dedication })
}

function servicesOf(config: AppConfig, group: string): JsonObject[] {
  const { http_service: http, services = [] } = config
  return [
    ...(http !== undefined && isFor(http, group, config) ? [httpServiceJson(http)] : []),
    ...services.filter((service) => isFor(service, group, config)).map(serviceJson),
  ]
}

function httpServiceJson(service: HttpService): JsonObject {
  const { force_https: isForced, tls_options: tls, http_options: http, checks = [] } = service
  return withoutUndefined({
    protocol: 'tcp',
    ...sharedService(service),
    ports: [
      withoutUndefined({
        port: 80,
        handlers: ['http'],
        force_https: isForced || undefined,
        http_options: http,
      }),
      withoutUndefined({
        port: 443,
        handlers: ['http', 'tls'],
        http_options: http,
        tls_options: tls,
      }),
    ],
    checks: some(checks.map((check) => httpCheckJson(check))),
  })
}

function serviceJson(service: Service): JsonObject {
  const { tcp_checks: tcp = [], http_checks: http = [], ports = [] } = service
  return withoutUndefined({
    protocol: service.protocol ?? 'tcp',
    ...sharedService(service),
    ports: some(ports),
    checks: some([
      ...tcp.map((check) => ({ type: 'tcp', ...timingOf(check) })),
      ...http.map((check) => httpCheckJson(check)),
    ]),
  })
}

const AUTOSTOP = { off: false, stop: true, suspend: 'suspend' } as const

function sharedService(service: HttpService | Service): JsonObject {
  const { auto_stop_machines: autostop } = service
  return {
    internal_port: service.internal_port,
    autostop: autostop === undefined ? undefined : AUTOSTOP[autostop],
    autostart: service.auto_start_machines,
    min_machines_running: service.min_machines_running,
    concurrency: service.concurrency,
  }
}

const timingOf = ({ interval, timeout, grace_period }: TcpCheck): JsonObject =>
  withoutUndefined({ interval, timeout, grace_period })

function httpCheckJson(check: HttpCheck): JsonObject {
  const { headers = {} } = check
  return withoutUndefined({
    type: 'http',
    ...timingOf(check),
    method: check.method,
    path: check.path,
    protocol: check.protocol,
    tls_skip_verify: check.tls_skip_verify,
    tls_server_name: check.tls_server_name,
    headers: some(Object.entries(headers).map(([name, value]) => ({ name, values: [value] }))),
  })
}

function checksOf(config: AppConfig, group: string): JsonObject | undefined {
  const own = Object.entries(config.checks ?? {}).filter(([, check]) => isFor(check, group, config))
  if (own.length === 0) return undefined
  return Object.fromEntries(own.map(([name, check]) => [name, checkJson(check, config)]))
}

function checkJson(check: Check, { http_service: http }: AppConfig): JsonObject {
  const isHttp = check.type === 'http'
  const method = check.method?.toUpperCase()
  return {
    ...(isHttp
      ? httpCheckJson({ ...check, ...(method === undefined ? {} : { method }) })
      : { type: check.type, ...timingOf(check) }),
    port: check.port ?? http?.internal_port,
  }
}

function mountOf(mount: Mount): JsonObject {
  return withoutUndefined({
    name: mount.source,
    path: mount.destination,
    extend_threshold_percent: mount.auto_extend_size_threshold,
    add_size_gb: gigabytes(mount.auto_extend_size_increment),
    size_gb_limit: gigabytes(mount.auto_extend_size_limit),
  })
}

/** `raw_value` is the text itself, as the stock client takes it. */
function filesOf(config: AppConfig, group: string, readLocalFile: ReadLocalFile): JsonObject[] {
  const own = (config.files ?? []).filter((file) => isFor(file, group, config))
  return own.map((file) => fileJson(file, readLocalFile))
}

function fileJson(file: ConfigFile, readLocalFile: ReadLocalFile): JsonObject {
  const { guest_path: path, local_path: local, secret_name: secret, raw_value: raw } = file
  if (secret !== undefined) return { guest_path: path, secret_name: secret }
  const content = local === undefined ? Buffer.from(raw ?? '') : readLocalFile(local)
  return { guest_path: path, raw_value: content.toString('base64') }
}

function metricsOf(config: AppConfig, group: string): JsonObject | undefined {
  const own = config.metrics?.find((metrics) => isFor(metrics, group, config))
  if (own === undefined) return undefined
  const { processes: _processes, ...metrics } = own
  return metrics
}

const POLICY: Readonly<Record<string, string>> = { never: 'no' }

/** Of several for one group the last counts. */
function restartOf(config: AppConfig, group: string): JsonObject | undefined {
  const own = config.restart?.findLast((restart) => isFor(restart, group, config))
  if (own?.policy === undefined) return undefined
  return withoutUndefined({
    policy: POLICY[own.policy] ?? own.policy,
    max_retries: own.retries,
  })
}

function stopConfigOf({ kill_signal: signal, kill_timeout: timeout }: AppConfig) {
  return signal === undefined && timeout === undefined
    ? undefined
    : withoutUndefined({ signal, timeout })
}

const some = <T>(items: readonly T[]): readonly T[] | undefined =>
  items.length === 0 ? undefined : items

function withoutUndefined(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
}
