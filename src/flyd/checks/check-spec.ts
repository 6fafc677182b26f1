import { parseGoDurationMs } from '#base'
import type { MachineConfigJson } from '../machine-json.ts'

/** One health check of a machine, as its configuration asks for it. */
export interface CheckSpec {
  /** Unique in the machine: the key under `checks`, or `servicecheck-00-tcp-8080`. */
  readonly name: string
  /** The proxy heeds it: of a service, or of kind `readiness`. */
  readonly isService: boolean
  readonly probe: ProbeSpec
  readonly intervalMs: number
  readonly timeoutMs: number
  /** From the start of the machine: failures in it do not count. */
  readonly graceMs: number
}

export type ProbeSpec =
  | { readonly type: 'tcp'; readonly port: number }
  | HttpProbeSpec
  | { readonly type: 'script'; readonly command: readonly string[] }

export interface HttpProbeSpec {
  readonly type: 'http'
  readonly port: number
  readonly method: string
  readonly path: string
  readonly isTls: boolean
  readonly skipsVerification: boolean
  readonly serverName: string | undefined
  readonly headers: readonly { readonly name: string; readonly values: readonly string[] }[]
}

/** Source: the platform's documentation, where the API gives none. */
const GRACE_MS = 1_000
const INTERVAL_MS = 15_000
const TIMEOUT_MS = 2_000
const INTERVAL_MS_MIN = 1_000
const TIMEOUT_MS_MAX = 60_000
const CHECKS_MAX = 64

type Json = Readonly<Record<string, unknown>>

/** All checks that a configuration has. What is no check is left out: it was accepted as unknown keys are. */
export function checkSpecs(config: MachineConfigJson): CheckSpec[] {
  const specs: CheckSpec[] = []
  for (const [name, check] of Object.entries(asObject(config['checks']))) {
    const json = asObject(check)
    add(specs, { name, isService: json['kind'] === 'readiness', json, port: json['port'] })
  }
  let index = 0
  for (const service of asList(config['services'])) {
    for (const check of asList(service['checks'])) {
      const port = check['port'] ?? service['internal_port']
      const name = `servicecheck-${String(index).padStart(2, '0')}-${String(check['type'])}-${String(port)}`
      if (add(specs, { name, isService: true, json: check, port })) index += 1
    }
  }
  return specs.slice(0, CHECKS_MAX)
}

function add(
  specs: CheckSpec[],
  { name, isService, json, port }: { name: string; isService: boolean; json: Json; port: unknown },
): boolean {
  const probe = probeOf(json, Number(port))
  if (probe === undefined) return false
  specs.push({
    name,
    isService,
    probe,
    intervalMs: Math.max(INTERVAL_MS_MIN, durationOf(json['interval']) || INTERVAL_MS),
    timeoutMs: Math.min(TIMEOUT_MS_MAX, durationOf(json['timeout']) || TIMEOUT_MS),
    graceMs: durationOf(json['grace_period']) ?? GRACE_MS,
  })
  return true
}

function probeOf(json: Json, port: number): ProbeSpec | undefined {
  if (json['type'] === 'script') {
    const { command } = json
    const words = Array.isArray(command) ? command.map(String) : ['/bin/sh', '-c', String(command)]
    return command === undefined || words.length === 0
      ? undefined
      : { type: 'script', command: words }
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined
  if (json['type'] === 'tcp') return { type: 'tcp', port }
  if (json['type'] !== 'http' && json['type'] !== 'https') return undefined
  const { method, path, protocol, tls_server_name: serverName } = json
  return {
    type: 'http',
    port,
    method: textOf(method)?.toUpperCase() ?? 'GET',
    path: pathOf(textOf(path) ?? '/'),
    isTls: json['type'] === 'https' || protocol === 'https',
    skipsVerification: json['tls_skip_verify'] === true,
    serverName: textOf(serverName),
    headers: headersOf(json['headers']),
  }
}

/** As a list of `{name, values}`, or as the map that fly.toml has. */
function headersOf(headers: unknown): HttpProbeSpec['headers'] {
  const given = Array.isArray(headers)
    ? asList(headers)
    : Object.entries(asObject(headers)).map(([name, value]) => ({ name, values: [value] }))
  return given.flatMap(({ name, values }) =>
    typeof name === 'string' && Array.isArray(values) ? [{ name, values: values.map(String) }] : [],
  )
}

const pathOf = (path: string) => (path.startsWith('/') ? path : `/${path}`)

const textOf = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)

/** Go's form, or nanoseconds. Undefined: not given, or none. */
function durationOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value / 1e6
  return typeof value === 'string' ? parseGoDurationMs(value) : undefined
}

const asObject = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}

const asList = (value: unknown): Json[] => (Array.isArray(value) ? value.map(asObject) : [])
