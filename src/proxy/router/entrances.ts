import type { Entrance, Handlers, ResponseRules } from '../route.ts'
import type { PortRoute } from '../routing-table/app-tree.ts'
import type { PortSpec, TlsOptions } from '../routing-table/port-spec.ts'

const NO_HANDLERS: Handlers = { pgTls: false, tls: false, http: false, proxyProto: 0 }
const NO_RULES: ResponseRules = { headers: new Map(), pristine: false }
const DEFAULT_ALPN = ['h2', 'http/1.1'] as const

/** A port of an app, as the data plane sees it, with the route that the decisions need. */
export class RoutedEntrance implements Entrance {
  readonly app: string
  readonly shared = false
  readonly port: number
  readonly handlers: Handlers
  readonly forceHttps: boolean
  readonly alpn: readonly string[]
  readonly tlsMinVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly tlsMaxVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly defaultSelfSigned: boolean
  readonly idleTimeoutMs: number | undefined
  readonly headersReadTimeoutMs: number | undefined
  readonly response: ResponseRules
  readonly compress: boolean
  readonly route: PortRoute
  readonly spec: PortSpec

  constructor(route: PortRoute) {
    const { spec } = route
    const { handlers, http, tls } = spec
    this.route = route
    this.spec = spec
    this.app = route.app.name
    this.port = route.port
    this.handlers = {
      pgTls: handlers.pgTls,
      tls: handlers.tls,
      http: handlers.http,
      proxyProto: handlers.proxyProtocol ? spec.proxyProtocolVersion : 0,
    }
    this.forceHttps = spec.forceHttps && handlers.http && !handlers.tls
    this.alpn = tls.alpn.length > 0 || !handlers.http ? tls.alpn : DEFAULT_ALPN
    this.tlsMinVersion = versionOf(tls, 'TLSv1.2')
    this.tlsMaxVersion = versionOf(tls, 'TLSv1.3')
    this.defaultSelfSigned = tls.defaultSelfSigned
    this.idleTimeoutMs = http.idleTimeoutMs
    this.headersReadTimeoutMs = http.headersReadTimeoutMs
    this.response = {
      headers: new Map([...http.responseHeaders].map(([name, value]) => [name, value ?? false])),
      pristine: http.isPristine,
    }
    this.compress = http.compress
  }
}

/** What stands on a shared address until a name is known: TLS, and plain HTTP on port 80. */
export class SharedEntrance implements Entrance {
  readonly app = ''
  readonly shared = true
  readonly port: number
  readonly handlers: Handlers
  readonly forceHttps = false
  readonly alpn = DEFAULT_ALPN
  readonly tlsMinVersion = 'TLSv1.2'
  readonly tlsMaxVersion = 'TLSv1.3'
  readonly defaultSelfSigned = false
  readonly idleTimeoutMs = undefined
  readonly headersReadTimeoutMs = undefined
  readonly response = NO_RULES
  readonly compress = false
  readonly address: string

  constructor(address: string, port: number) {
    this.address = address
    this.port = port
    this.handlers =
      port === PLAIN_HTTP_PORT ? { ...NO_HANDLERS, http: true } : { ...NO_HANDLERS, tls: true }
  }
}

const PLAIN_HTTP_PORT = 80

/** Whether a connection that learned its name on a shared entrance may go there: raw TCP may not. */
export const fits = (shared: SharedEntrance, { handlers }: RoutedEntrance): boolean =>
  shared.port === PLAIN_HTTP_PORT ? handlers.http && !handlers.tls : handlers.tls || handlers.pgTls

/** One object for each port as long as its configuration stays. */
export class Entrances {
  readonly #byRoute = new WeakMap<PortRoute, RoutedEntrance>()
  readonly #shared = new Map<string, SharedEntrance>()

  of(route: PortRoute): RoutedEntrance {
    const known = this.#byRoute.get(route)
    if (known !== undefined && known.spec === route.spec && known.app === route.app.name) {
      return known
    }
    const entrance = new RoutedEntrance(route)
    this.#byRoute.set(route, entrance)
    return entrance
  }

  /** At most as many as shared addresses have ports. */
  shared(address: string, port: number): SharedEntrance {
    const key = `${port} ${address}`
    const known = this.#shared.get(key)
    if (known !== undefined) return known
    const entrance = new SharedEntrance(address, port)
    this.#shared.set(key, entrance)
    return entrance
  }
}

/** The lowest or highest version of a list; both when it names none. */
function versionOf({ versions }: TlsOptions, wanted: 'TLSv1.2' | 'TLSv1.3'): 'TLSv1.2' | 'TLSv1.3' {
  const other = wanted === 'TLSv1.2' ? 'TLSv1.3' : 'TLSv1.2'
  return versions.includes(other) && !versions.includes(wanted) ? other : wanted
}
