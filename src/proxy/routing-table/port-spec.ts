/**
 * What a public port of a service does. Source: the Machines API's `config.services[].ports[]`. The values
 * come from other hosts' rows: what is no port is left out, what has a wrong type gets its default.
 */
export interface PortSpec {
  readonly startPort: number
  /** Inclusive. */
  readonly endPort: number
  readonly handlers: Handlers
  readonly forceHttps: boolean
  readonly tls: TlsOptions
  readonly http: HttpOptions
  readonly proxyProtocolVersion: 1 | 2
}

/** The order in which handlers are listed means nothing. All false: raw TCP, or UDP. */
export interface Handlers {
  readonly tls: boolean
  /** Also for `edge_http`, its name of old. */
  readonly http: boolean
  readonly pgTls: boolean
  readonly proxyProtocol: boolean
}

export interface TlsOptions {
  readonly alpn: readonly string[]
  /** `TLSv1.2`, `TLSv1.3`; empty: both. */
  readonly versions: readonly string[]
  readonly defaultSelfSigned: boolean
}

export interface HttpOptions {
  readonly compress: boolean
  readonly h2Backend: boolean
  /** Undefined: the proxy's own default. */
  readonly idleTimeoutMs: number | undefined
  readonly headersReadTimeoutMs: number | undefined
  /** Response headers: null removes; one or several values otherwise. Names in lower case. */
  readonly responseHeaders: ReadonlyMap<string, readonly string[] | null>
  readonly isPristine: boolean
  readonly replayCache: readonly ReplayCacheRule[]
}

/** A rule of the session replay cache. */
export interface ReplayCacheRule {
  readonly kind: 'cookie' | 'header'
  /** Of the cookie, or of the header in lower case. */
  readonly name: string
  /** Undefined: every host of the app. */
  readonly host: string | undefined
  readonly pathPrefix: string
  readonly ttlMs: number
  readonly allowBypass: boolean
}

export const REPLAY_CACHE_TTL_S_MIN = 10
const PORTS_MAX = 1_000
/** Names and values together: a head with them must fit the memory of a turn. What goes beyond is left out. */
const RULES_BYTES_MAX = 16 << 10

export function parsePortSpecs(value: unknown): readonly PortSpec[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, PORTS_MAX).flatMap((port) => parsePort(objectOf(port)) ?? [])
}

type Json = Readonly<Record<string, unknown>>

function parsePort(value: Json): PortSpec | undefined {
  const single = portOf(value['port'])
  const startPort = single ?? portOf(value['start_port']) ?? 1
  const endPort = single ?? portOf(value['end_port']) ?? 65_535
  const isRange = value['start_port'] !== undefined || value['end_port'] !== undefined
  if ((single === undefined && !isRange) || startPort > endPort) return undefined
  const names = new Set(strings(value['handlers']))
  return {
    startPort,
    endPort,
    handlers: {
      tls: names.has('tls'),
      http: names.has('http') || names.has('edge_http'),
      pgTls: names.has('pg_tls'),
      proxyProtocol: names.has('proxy_proto'),
    },
    forceHttps: value['force_https'] === true,
    tls: parseTls(objectOf(value['tls_options'])),
    http: parseHttp(objectOf(value['http_options'])),
    proxyProtocolVersion: objectOf(value['proxy_proto_options'])['version'] === 'v2' ? 2 : 1,
  }
}

const parseTls = (value: Json): TlsOptions => ({
  alpn: strings(value['alpn']),
  versions: strings(value['versions']),
  defaultSelfSigned: value['default_self_signed'] === true,
})

function parseHttp(value: Json): HttpOptions {
  const response = objectOf(value['response'])
  return {
    compress: value['compress'] === true,
    h2Backend: value['h2_backend'] === true,
    idleTimeoutMs: secondsOf(value['idle_timeout']),
    headersReadTimeoutMs: secondsOf(value['headers_read_timeout']),
    responseHeaders: parseHeaders(objectOf(response['headers'])),
    isPristine: response['pristine'] === true,
    replayCache: parseReplayCache(value['replay_cache']),
  }
}

function parseHeaders(value: Json): HttpOptions['responseHeaders'] {
  const headers = new Map<string, readonly string[] | null>()
  let left = RULES_BYTES_MAX
  for (const [name, given] of Object.entries(value)) {
    const values = valuesOf(given)
    if (values === undefined) continue
    for (const one of values ?? ['']) left -= name.length + one.length
    if (left < 0) break
    headers.set(name.toLowerCase(), values)
  }
  return headers
}

/** null: the header is taken away. */
function valuesOf(given: unknown): readonly string[] | null | undefined {
  if (given === false) return null
  if (typeof given === 'string') return [given]
  return Array.isArray(given) ? strings(given) : undefined
}

function parseReplayCache(value: unknown): readonly ReplayCacheRule[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((item): ReplayCacheRule[] => {
    const rule = objectOf(item)
    const { type, name, ttl_seconds: ttlS } = rule
    if ((type !== 'cookie' && type !== 'header') || typeof name !== 'string') return []
    if (typeof ttlS !== 'number' || ttlS < REPLAY_CACHE_TTL_S_MIN) return []
    const prefix = typeof rule['path_prefix'] === 'string' ? rule['path_prefix'] : '/'
    const slash = prefix.indexOf('/')
    const host = slash < 0 ? prefix : prefix.slice(0, slash)
    return [
      {
        kind: type,
        name: type === 'header' ? name.toLowerCase() : name,
        host: host === '' ? undefined : host.toLowerCase(),
        pathPrefix: slash < 0 ? '/' : prefix.slice(slash),
        ttlMs: ttlS * 1_000,
        allowBypass: rule['allow_bypass'] === true,
      },
    ]
  })
}

function portOf(value: unknown): number | undefined {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535
    ? (value as number)
    : undefined
}

const secondsOf = (value: unknown): number | undefined =>
  typeof value === 'number' && value > 0 && Number.isFinite(value) ? value * 1_000 : undefined

const objectOf = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}

const strings = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
