/**
 * Older and shorter ways to write a configuration, brought into the form of app-config.ts. Nothing is
 * refused here: what cannot be read is left as it is for the schema to refuse.
 */
import { formatGoDuration } from '#base'
import { isObject, type JsonObject, objectsIn } from './json-object.ts'

export interface CanonicalForm {
  readonly document: JsonObject
  /** Sections that were written under another name, as pointers: canonical to written. */
  readonly moved: ReadonlyMap<string, string>
}

/** The document in canonical form. The one given is not changed. */
export function canonicalForm(written: JsonObject): CanonicalForm {
  const document = structuredClone(written)
  const moved = new Map<string, string>()
  renameSections(document, moved)
  for (const key of LISTS) wrap(document, key)
  document['processes'] = processMap(document['processes'])
  document['env'] = textMap(mergedTables(document['env']))
  document['checks'] = checkMap(document['checks'])
  if (isObject(document['build'])) rename(document['build'], 'build_target', 'build-target')
  if (isObject(document['deploy'])) deployValues(document['deploy'])
  if (isObject(document['experimental'])) liftExperimental(document, document['experimental'])
  seconds(document, 'kill_timeout')
  if (isObject(document['http_service'])) httpService(document['http_service'])
  for (const service of objectsIn(document['services'])) canonicalService(service)
  for (const check of Object.values(document['checks'] ?? {}))
    if (isObject(check)) checkValues(check)
  for (const check of objectsIn(document['machine_checks'])) seconds(check, 'kill_timeout')
  for (const key of Object.keys(document)) if (document[key] === undefined) delete document[key]
  return { document, moved }
}

const RENAMED = { compute: 'vm', computes: 'vm', mount: 'mounts', metric: 'metrics' } as const
const LISTS = ['services', 'vm', 'mounts', 'metrics'] as const

function renameSections(document: JsonObject, moved: Map<string, string>): void {
  for (const [old, name] of Object.entries(RENAMED)) {
    if (!rename(document, old, name)) continue
    moved.set(`/${name}`, `/${old}`)
  }
}

/** False when there is nothing to rename, or the new name is taken. */
function rename(object: JsonObject, old: string, name: string): boolean {
  if (object[old] === undefined || object[name] !== undefined) return false
  object[name] = object[old]
  delete object[old]
  return true
}

/** One table where a list of them is meant. */
function wrap(object: JsonObject, key: string): void {
  if (isObject(object[key])) object[key] = [object[key]]
}

/** `[[processes]]` with name and command. */
function processMap(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  const named = objectsIn(value).filter(({ name }) => typeof name === 'string')
  if (named.length < value.length) return value
  return Object.fromEntries(named.map(({ name, command }) => [String(name), command ?? '']))
}

/** `[[env]]`. */
function mergedTables(value: unknown): unknown {
  return Array.isArray(value) && value.every(isObject) ? Object.assign({}, ...value) : value
}

/** Numbers and booleans as people write them in `[env]`. */
function textMap(value: unknown): unknown {
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      typeof one === 'number' || typeof one === 'boolean' || typeof one === 'bigint'
        ? String(one)
        : one,
    ]),
  )
}

/** `[[checks]]` with a name each. */
function checkMap(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  const checks = objectsIn(value)
  if (checks.length < value.length || checks.some(({ name }) => typeof name !== 'string')) {
    return value
  }
  return Object.fromEntries(checks.map(({ name, ...check }) => [String(name), check]))
}

function deployValues(deploy: JsonObject): void {
  seconds(deploy, 'wait_timeout')
  seconds(deploy, 'release_command_timeout')
}

function liftExperimental(document: JsonObject, experimental: JsonObject): void {
  for (const key of ['cmd', 'entrypoint', 'exec']) {
    if (typeof experimental[key] === 'string') experimental[key] = [experimental[key]]
  }
  if (experimental['kill_timeout'] !== undefined) {
    document['kill_timeout'] ??= experimental['kill_timeout']
    delete experimental['kill_timeout']
  }
  const { metrics_port: port, metrics_path: path, ...rest } = experimental
  if (port === undefined && path === undefined) return
  document['metrics'] ??= [
    { ...(port === undefined ? {} : { port }), ...(path === undefined ? {} : { path }) },
  ]
  document['experimental'] = rest
}

function httpService(service: JsonObject): void {
  serviceValues(service)
  for (const check of objectsIn(service['checks'])) checkValues(check)
}

function canonicalService(service: JsonObject): void {
  for (const key of ['ports', 'tcp_checks', 'http_checks']) wrap(service, key)
  serviceValues(service)
  for (const port of objectsIn(service['ports'])) {
    for (const key of ['port', 'start_port', 'end_port']) wholeNumber(port, key)
  }
  for (const key of ['tcp_checks', 'http_checks']) objectsIn(service[key]).forEach(checkValues)
}

function serviceValues(service: JsonObject): void {
  wholeNumber(service, 'internal_port')
  const autostop = service['auto_stop_machines']
  if (typeof autostop === 'boolean') service['auto_stop_machines'] = autostop ? 'stop' : 'off'
  service['concurrency'] = concurrency(service['concurrency'])
  if (service['concurrency'] === undefined) delete service['concurrency']
  for (const check of objectsIn(service['machine_checks'])) seconds(check, 'kill_timeout')
}

/** `"20,25"`: soft and hard limit of requests. */
function concurrency(value: unknown): unknown {
  const match = typeof value === 'string' ? /^\s*(\d+)\s*,\s*(\d+)\s*$/.exec(value) : null
  return match === null
    ? value
    : { type: 'requests', soft_limit: Number(match[1]), hard_limit: Number(match[2]) }
}

/** A number is milliseconds, in every check alike. */
function checkValues(check: JsonObject): void {
  for (const key of ['interval', 'timeout', 'grace_period']) inUnits(check, key, 1)
  wholeNumber(check, 'port')
  const headers = check['headers']
  if (!Array.isArray(headers)) return
  const pairs = objectsIn(headers).map(({ name, value }) => [String(name), value])
  if (pairs.length === headers.length) check['headers'] = Object.fromEntries(pairs)
}

const seconds = (object: JsonObject, key: string) => inUnits(object, key, 1000)

function inUnits(object: JsonObject, key: string, unitMs: number): void {
  const value = object[key]
  if (typeof value === 'number' && value >= 0) object[key] = formatGoDuration(value * unitMs)
}

function wholeNumber(object: JsonObject, key: string): void {
  const value = object[key]
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) object[key] = Number(value)
}
