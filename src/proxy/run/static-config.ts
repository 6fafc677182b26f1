import { type Static, Type } from 'typebox'
import { loadConfig } from '#base'
import { STATE_FOLDER } from '#net6'

/** On which proxies listen for each other where nobody says otherwise. */
const BACKHAUL_PORT = 4290
const closed = { additionalProperties: false }
const seconds = Type.Integer({ minimum: 1, maximum: 86_400 })

const portSchema = Type.Object(
  {
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    handlers: Type.Array(
      Type.Union([
        Type.Literal('http'),
        Type.Literal('tls'),
        Type.Literal('pg_tls'),
        Type.Literal('proxy_proto'),
      ]),
      { default: [] },
    ),
    force_https: Type.Boolean({ default: false }),
    /** Protocols offered to TLS clients. */
    alpn: Type.Optional(Type.Array(Type.String())),
  },
  closed,
)

const serviceSchema = Type.Object(
  {
    app: Type.String({ minLength: 1 }),
    /** Names by which this app is found where several share a port. */
    hosts: Type.Array(Type.String(), { default: [] }),
    ports: Type.Array(portSchema, { minItems: 1 }),
    machines: Type.Array(
      Type.Object(
        {
          id: Type.Optional(Type.String()),
          address: Type.String(),
          port: Type.Integer({ minimum: 1, maximum: 65_535 }),
        },
        closed,
      ),
    ),
    h2_backend: Type.Boolean({ default: false }),
    pristine: Type.Boolean({ default: false }),
    /** Bodies of types that shrink are compressed for clients that accept it. */
    compress: Type.Boolean({ default: false }),
    response_headers: Type.Record(
      Type.String(),
      Type.Union([Type.Literal(false), Type.String(), Type.Array(Type.String())]),
      { default: {} },
    ),
    proxy_proto_version: Type.Union([Type.Literal(1), Type.Literal(2)], { default: 1 }),
    idle_timeout_s: Type.Optional(seconds),
    headers_read_timeout_s: Type.Optional(seconds),
    /** Bytes of a request's body that are kept for another attempt. */
    keep_body_bytes: Type.Integer({ minimum: 0, maximum: 64 << 20, default: 1 << 20 }),
  },
  closed,
)

const portNumber = (standard: number) =>
  Type.Integer({ minimum: 1, maximum: 65_535, default: standard })

/** Present: the proxy of a host of the platform, which routes by corrosion's rows instead of `services`. */
const routingSchema = Type.Object(
  {
    /** This host's name in the rows. */
    host: Type.String({ minLength: 1 }),
    /** It accepts connections of clients; else it only serves machines of this host to other proxies. */
    is_edge: Type.Boolean({ default: true }),
    /** `<app>.<domain>` are the apps' own names. */
    app_domain: Type.String({ default: '' }),
    /** Of this host: visitors of every app that has a shared address may come there, too, and name it. */
    addresses: Type.Array(Type.String(), { default: [] }),
    /** Where the last known table is kept. */
    folder: Type.String({ default: '/var/lib/godwit/proxy' }),
    /** The edges' key ring, the same on all edges: a file of mode 600. */
    key_ring: Type.String(),
    /** The API of this host's corrosion agent. */
    corrosion: Type.Object(
      {
        url: Type.String({ default: 'http://127.0.0.1:8080' }),
        token: Type.Optional(Type.String()),
      },
      { ...closed, default: {} },
    ),
    backhaul: Type.Object(
      {
        /** `hosts.backhaul_ip`; `mesh` is this host's own on the mesh. Absent: no other host is served. */
        address: Type.Optional(Type.String()),
        /** The same on all hosts. */
        port: portNumber(BACKHAUL_PORT),
      },
      { ...closed, default: {} },
    ),
    /** As `godwit net run` on this host has it, for `mesh` in place of an address. */
    network: Type.Object(
      { folder: Type.String({ default: STATE_FOLDER }) },
      { ...closed, default: {} },
    ),
    /** Absent: machines that sleep stay asleep. */
    hosts: Type.Optional(
      Type.Object(
        {
          /** The secret of the cluster: 64 hexadecimal digits. */
          key_file: Type.String(),
          /** Of flyd's API on all hosts. @default flyd's own */
          port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
        },
        closed,
      ),
    ),
    /** When machines are stopped that nobody needs. The same on all hosts. */
    autostop: Type.Object(
      {
        /** From pass to pass. */
        period_s: Type.Integer({ minimum: 1, maximum: 86_400, default: 300 }),
        /** A machine runs at least so long after a start. */
        up_s: Type.Integer({ minimum: 0, maximum: 86_400, default: 300 }),
        /** After a stop nothing of the app is stopped in its region for so long. */
        settle_s: Type.Integer({ minimum: 0, maximum: 86_400, default: 120 }),
      },
      { ...closed, default: {} },
    ),
    /** Folder of the local authority (`godwit ca --folder`): it signs `*.<app_domain>`. */
    local_ca: Type.Optional(Type.String()),
    /** Absent: this host orders no certificates. */
    acme: Type.Optional(
      Type.Object(
        {
          directory_url: Type.String(),
          email: Type.Optional(Type.String()),
          /** A program, for wildcards: `PROGRAM present|remove NAME VALUE`. */
          dns_hook: Type.Optional(Type.String()),
        },
        closed,
      ),
    ),
  },
  closed,
)

const bound = (minimum: number, what: string) =>
  Type.Optional(Type.Integer({ minimum, description: what }))

export const staticSchema = Type.Object(
  {
    /** The code that Fly-Region carries. */
    region: Type.String({ default: 'loc', pattern: '^[a-z0-9]{2,8}$' }),
    /** Addresses to listen on: each on every port that a service names. */
    listen: Type.Array(Type.String(), { default: ['127.0.0.1'] }),
    /** Processes that share the ports. */
    workers: Type.Integer({ minimum: 1, maximum: 64, default: 1 }),
    /** A unix socket for `godwit proxy top` and `explain`. Absent: none. Only with `routing`. */
    admin_socket: Type.Optional(Type.String()),
    /** Prometheus metrics over HTTP on this port of 127.0.0.1. */
    metrics_port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
    /** The share of requests that the access log has; 0: no log. */
    access_log_ratio: Type.Number({ minimum: 0, maximum: 1, default: 0 }),
    /** Balancers in front, as addresses or networks: their connections begin with a PROXY header. */
    proxy_protocol_from: Type.Array(Type.String(), { default: [] }),
    /** How long connections may go on after SIGTERM or an upgrade. */
    drain_s: Type.Integer({ minimum: 0, maximum: 86_400, default: 300 }),
    /** Certificates, by the names in them. */
    certificates: Type.Array(
      Type.Object(
        { names: Type.Array(Type.String()), chain_file: Type.String(), key_file: Type.String() },
        closed,
      ),
      { default: [] },
    ),
    services: Type.Array(serviceSchema, { default: [] }),
    routing: Type.Optional(routingSchema),
    limits: Type.Object(
      {
        connections_max: bound(1, 'connections of clients in one process'),
        connections_per_address_max: bound(1, 'of one address'),
        buffer_bytes_max: bound(1 << 20, 'bytes that wait for slow peers'),
        headers_read_ms: bound(1, 'for a request head'),
        keep_alive_idle_ms: bound(1, 'between requests'),
        exchange_idle_ms: bound(1, 'without a byte'),
        body_grace_ms: bound(1, 'before a body must keep its pace'),
        body_bytes_per_second_min: bound(1, 'that pace'),
        half_closed_ms: bound(1, 'without a byte once one direction of a tunnel has ended'),
        connect_ms: bound(1, 'for a connection to a machine'),
        tls_handshake_ms: bound(1, 'for a handshake'),
        tls_handshakes_per_second: bound(1, 'of one client address'),
        tls_handshakes_at_once: bound(1, 'before that rate counts'),
        backend_idle_ms: bound(1, 'an idle connection to a machine is kept'),
        streams_max: bound(1, 'open streams of an HTTP/2 connection'),
        compressions_max: bound(0, 'responses that are compressed at one time'),
      },
      { ...closed, default: {} },
    ),
  },
  closed,
)

export type StaticConfig = Static<typeof staticSchema>
export type RoutingConfig = Static<typeof routingSchema>
export type StaticService = StaticConfig['services'][number]

/** @throws BaseError base.config_bad, base.config_unreadable */
export const loadStaticConfig = (file: string): StaticConfig =>
  loadConfig({ schema: staticSchema, file })
