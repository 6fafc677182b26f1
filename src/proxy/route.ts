/**
 * The seam between the data plane (sockets, TLS, HTTP bytes) and the decisions (routing table,
 * balancer, autostart, fly-replay). The data plane asks, the router answers from memory.
 *
 * The order of a request: `accept` once per connection, `named` when a shared address learns its
 * name, `route` per request (or per raw connection), then the reports on the Lease: `connected`,
 * `responded`, and exactly one `release`. A failed attempt is released, put on `request.attempts`,
 * and `route` is asked again, as long as nothing was lost by trying.
 *
 * HOT: accept, named, route, connected, responded and release run for every request. They answer
 * synchronously whenever they can, and keep no reference to `request` after they have answered (the
 * data plane refills the same object).
 */
export interface Router {
  /**
   * What stands on this address and port. Called once per accepted connection, before any byte.
   * @returns undefined: nothing does; the connection is closed without a word.
   */
  accept(connection: ConnectionFacts): Entrance | undefined

  /**
   * The entrance of the app called `name`, when `accept` gave a shared one: `name` is the TLS
   * server name, or the Host of an HTTP request, lower case, without port.
   * @returns undefined: no app is called so; TLS is aborted (PT05), HTTP answers 404.
   */
  named(entrance: Entrance, name: string): Entrance | undefined

  /** Chooses where this request goes. A promise: a machine is being woken, or all are full. */
  route(request: RouteRequest): Decision | Promise<Decision>
}

/** One accepted TCP connection. Addresses are text; IPv4 is never written as IPv4-mapped IPv6. */
export interface ConnectionFacts {
  readonly clientAddress: string
  readonly clientPort: number
  /** The address that the client dialled: anycast or flycast. */
  readonly localAddress: string
  readonly localPort: number
  /** Once a handshake ended. `alpn`: what was agreed, '' for HTTP/1.1 and for other protocols. */
  readonly tls?: { readonly version: string; readonly alpn: string }
}

/** A port of an app's service, as `services[].ports[]` of its machines configures it. Frozen. */
export interface Entrance {
  /** The app; '' for a shared address whose connection has not been named yet. */
  readonly app: string
  /** True: `named` must be asked before `route`. */
  readonly shared: boolean
  /** The public port: the one the client dialled. */
  readonly port: number
  readonly handlers: Handlers
  /** Plain HTTP is redirected to https with 301. No machine is woken for it. */
  readonly forceHttps: boolean
  /** `tls_options`: protocols offered, most wanted first. @default ['h2', 'http/1.1'] with http */
  readonly alpn: readonly string[]
  readonly tlsMinVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly tlsMaxVersion: 'TLSv1.2' | 'TLSv1.3'
  /** Without a certificate for the name a self-signed one is shown instead of an abort. */
  readonly defaultSelfSigned: boolean
  /** `http_options.idle_timeout`. undefined: the proxy's own. */
  readonly idleTimeoutMs: number | undefined
  /** `http_options.headers_read_timeout`. undefined: the proxy's own. */
  readonly headersReadTimeoutMs: number | undefined
  /** `http_options.response`. */
  readonly response: ResponseRules
  readonly compress: boolean
}

/** What the proxy does with the bytes of a connection, in this order. All false: it only pipes. */
export interface Handlers {
  /** Answers PostgreSQL's SSLRequest before TLS. */
  readonly pgTls: boolean
  readonly tls: boolean
  readonly http: boolean
  /** The version of the PROXY header that the machine is sent first; 0 for none. */
  readonly proxyProto: 0 | 1 | 2
}

export interface ResponseRules {
  /** Lower-case name to what it becomes: false removes, texts replace what the app sent. */
  readonly headers: ReadonlyMap<string, false | readonly string[]>
  /** Neither adds nor alters Server, Via, Fly-Request-Id. */
  readonly pristine: boolean
}

/**
 * What a decision may ask about. Filled by the data plane, valid during the call only: whoever
 * answers with a promise reads what it needs before returning it.
 */
export interface RouteRequest {
  readonly entrance: Entrance
  readonly connection: ConnectionFacts
  /** 'tcp' covers raw, tls and pg_tls services without http. */
  readonly kind: 'http' | 'tcp'
  readonly isTls: boolean
  /** The TLS server name, lower case; '' without. */
  readonly serverName: string
  /** '' for tcp: */
  readonly method: string
  /** Lower case, without port. */
  readonly host: string
  /** Path and query, as the client sent them (origin-form). */
  readonly target: string
  /** `<ULID>-<region>`; stable over attempts and replays. */
  readonly requestId: string
  /** Value of a request header by lower-case name; several are joined by ', '. COLD: it searches. */
  header(name: string): string | undefined
  /** What has failed so far for this request, oldest first. */
  readonly attempts: readonly Attempt[]
  /** Aborts when the client went away or the proxy gives up waiting. */
  readonly signal: AbortSignal
}

export interface Attempt {
  /** Machine id, or worker host of a Remote. */
  readonly machine: string
  readonly result: LeaseResult
}

export type Decision = ToMachine | ToRemote | Refuse | Redirect

/** Connect to a machine on this host. */
export interface ToMachine {
  readonly kind: 'machine'
  readonly address: string
  readonly port: number
  /** 'tcp': no HTTP, bytes as they are. */
  readonly protocol: 'h1' | 'h2c' | 'tcp'
  readonly lease: Lease
  /** Set on the request instead of what the client sent; false removes. Lower-case names. */
  readonly headers?: ReadonlyMap<string, string | false>
  /** Path and query instead of the client's (replay transforms). */
  readonly target?: string
  /**
   * How much of the request's body is kept until the response's head, so that it can be sent again
   * (retry, fly-replay). More than this ends both, silently. 0 keeps nothing.
   */
  readonly keepBodyBytes: number
}

/** Hand it to the proxy on another host, over the backhaul. */
export interface ToRemote {
  readonly kind: 'remote'
  readonly host: string
  /** Of the host inside the mesh. On which port its backhaul listens is the backhaul's affair. */
  readonly address: string
  /** Of the machine's service, inside it: `internalPort` of the stream to open. */
  readonly port: number
  readonly protocol: 'h1' | 'h2c' | 'tcp'
  readonly machine: string
  readonly lease: Lease
  readonly headers?: ReadonlyMap<string, string | false>
  readonly target?: string
  readonly keepBodyBytes: number
}

/** Nobody can take it. For tcp the connection is closed. */
export interface Refuse {
  readonly kind: 'refuse'
  readonly status: 404 | 502 | 503
  /** PR03, PM02, ...: goes to the app's log and the access log, never to the client. */
  readonly code: string
}

export interface Redirect {
  readonly kind: 'redirect'
  readonly status: 301 | 302 | 307 | 308
  readonly location: string
}

/** One use of one machine, counted against its limits from `route` until `release`. */
export interface Lease {
  /** Machine id, for logs and `attempts`. */
  readonly machine: string

  /** The machine took the connection (0 for one from the pool). */
  connected(connectUs: number): void

  /**
   * The head of the final response was read, before any of it went to the client. Fly-replay headers
   * are looked at here. The body of a response that is replayed is discarded; one of JSON's
   * (`application/vnd.fly.replay+json`) is read whole first, up to REPLAY_BODY_BYTES_MAX.
   * @returns undefined: forward it. 'read-body': `replayBody` will be called. Else: where to go now.
   */
  responded(response: ResponseFacts): undefined | 'read-body' | Decision | Promise<Decision>

  /** The whole body of the response for which `responded` answered 'read-body'. */
  replayBody(body: Uint8Array): Decision | Promise<Decision>

  /** Exactly once, last. */
  release(result: LeaseResult, bytes: { readonly sent: number; readonly received: number }): void
}

export interface ResponseFacts {
  readonly status: number
  /** Value of a response header by lower-case name. COLD except that it knows at once of none. */
  header(name: string): string | undefined
  /** False: the request's body was not kept whole, so no replay is possible (PA01). */
  readonly canReplay: boolean
}

export type LeaseResult =
  /** A whole exchange, or a raw connection that both sides closed in order. */
  | 'done'
  /** The response was a replay, and was followed. */
  | 'replayed'
  /** Refused, unreachable, or no answer in time (PC01, PC05). */
  | 'connect-failed'
  /** The worker's proxy refused (PM11, PR02): try elsewhere. */
  | 'refused'
  /** Broke before a response head was read. */
  | 'no-response'
  /** Broke within a response. */
  | 'broken'
  /** The response head or body did not come in time. */
  | 'timed-out'
  /** The client went away. */
  | 'client-gone'

/** The JSON form of fly-replay is small; more than this is PA03. */
export const REPLAY_BODY_BYTES_MAX = 64 << 10

/** Headers that the data plane sets or strips itself: a router never needs to. */
export const PROXY_OWNED_REQUEST_HEADERS = [
  'fly-client-ip',
  'fly-forwarded-port',
  'fly-forwarded-proto',
  'fly-forwarded-ssl',
  'fly-region',
  'fly-request-id',
  'fly-replay-src',
  'fly-replay-failed',
  'fly-replay-cache-status',
  'fly-preferred-instance-unavailable',
  'x-request-start',
  'via',
] as const
