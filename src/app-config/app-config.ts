/**
 * An app's configuration in its canonical form: the keys of fly.toml, without the older ways to write
 * them (legacy-forms.ts), durations as Go writes them. It is what a release keeps.
 *
 * Every object is closed, so that a typing error is found.
 */
import { type Static, type TProperties, Type } from 'typebox'

const closed = { additionalProperties: false } as const
const table = <T extends TProperties>(properties: T, description: string) =>
  Type.Object(properties, { ...closed, description })

const text = (description: string) => Type.Optional(Type.String({ description }))
const whole = (description: string) => Type.Optional(Type.Integer({ description }))
const flag = (description: string) => Type.Optional(Type.Boolean({ description }))
const texts = (description: string) => Type.Optional(Type.Array(Type.String(), { description }))
const textMap = (description: string) =>
  Type.Optional(Type.Record(Type.String(), Type.String(), { description }))
/** Written in a form of its own, so that problems of it are told as such: check/durations.ts. */
const duration = (description: string) =>
  Type.Optional(Type.String({ description: `${description} (duration, as \`1m30s\`)` }))
const size = (description: string) =>
  Type.Optional(
    Type.Union([Type.Integer(), Type.String()], {
      description: `${description} (as \`512mb\`, \`2gb\`)`,
    }),
  )
const processes = texts('process groups that it is for; absent: the default group')

const httpCheckKeys = {
  method: text('of the request. Default GET'),
  path: text('of the request. Default /'),
  protocol: text('http or https. Default http'),
  tls_skip_verify: flag('accept any certificate'),
  tls_server_name: text('name to ask for in TLS'),
  headers: textMap('sent with the request'),
}

const timing = {
  interval: duration('from one check to the next. Default 15s'),
  timeout: duration('after which it has failed. Default 2s'),
  grace_period: duration('after start in which failures do not count. Default 1s'),
}

const TcpCheckSchema = table(timing, 'a connection that must be accepted')
const HttpCheckSchema = table(
  { ...timing, ...httpCheckKeys },
  'a request that must be answered with 2xx',
)
const CheckSchema = table(
  {
    type: text('http or tcp'),
    port: whole('inside the machine. Default: internal_port of http_service'),
    ...timing,
    ...httpCheckKeys,
    processes,
  },
  'a check of the machine as a whole; it does not change where requests go',
)
const MachineCheckSchema = table(
  {
    command: texts('what to run; its exit code decides'),
    image: text('of the machine that runs it. Default: the image under test'),
    entrypoint: texts("instead of the image's"),
    kill_signal: text('that stops it'),
    kill_timeout: duration('before it is killed'),
  },
  'a command that must succeed in a machine beside a new one, or the deploy ends',
)
const ConcurrencySchema = table(
  {
    type: text('connections or requests. Default connections'),
    soft_limit: whole('above which others are preferred. Default 20'),
    hard_limit: whole('above which nothing more is sent. Default: none'),
  },
  'how much a machine takes at once',
)
const TlsOptionsSchema = table(
  {
    alpn: texts('protocols offered in TLS'),
    versions: texts('versions of TLS: TLSv1.2, TLSv1.3'),
    default_self_signed: flag('serve a self-signed certificate when there is no other'),
  },
  'how TLS is ended',
)
const HttpOptionsSchema = table(
  {
    compress: flag('compress answers'),
    h2_backend: flag('speak HTTP/2 to the machine'),
    idle_timeout: whole('seconds after which a silent connection ends'),
    headers_read_timeout: whole('seconds in which the head of a request must arrive'),
    response: Type.Optional(
      table(
        {
          headers: Type.Optional(
            Type.Record(
              Type.String(),
              Type.Union([Type.String(), Type.Boolean(), Type.Array(Type.String())]),
            ),
          ),
          pristine: flag("leave the machine's headers as they are"),
        },
        'what is changed in answers',
      ),
    ),
    replay_cache: Type.Optional(
      Type.Array(
        table(
          {
            path_prefix: text('requests that it is for'),
            ttl_seconds: whole('how long a replay is remembered'),
            type: text('cookie or header'),
            name: text('of the cookie or header'),
            allow_bypass: flag('a client may ask to go past it'),
          },
          'replays that are remembered',
        ),
      ),
    ),
  },
  'how HTTP is handled',
)
const PortSchema = table(
  {
    port: whole('that the public reaches'),
    start_port: whole('first of a range'),
    end_port: whole('last of a range'),
    handlers: texts('http, tls, tcp, pg_tls, proxy_proto'),
    force_https: flag('answer plain HTTP with a redirect'),
    tls_options: Type.Optional(TlsOptionsSchema),
    http_options: Type.Optional(HttpOptionsSchema),
    proxy_proto_options: Type.Optional(
      table({ version: text('v1 or v2') }, 'the PROXY protocol towards the machine'),
    ),
  },
  'a port that the public reaches',
)

const serviceKeys = {
  internal_port: whole('that the app listens on'),
  auto_stop_machines: Type.Optional(
    Type.Union([Type.Literal('off'), Type.Literal('stop'), Type.Literal('suspend')], {
      description: 'what happens to machines without requests. Default off',
    }),
  ),
  auto_start_machines: flag('start machines when requests come. Default true'),
  min_machines_running: whole('kept running in the primary region. Default 0'),
  processes,
  concurrency: Type.Optional(ConcurrencySchema),
  machine_checks: Type.Optional(Type.Array(MachineCheckSchema)),
}

const HttpServiceSchema = table(
  {
    ...serviceKeys,
    force_https: flag('answer plain HTTP with a redirect'),
    tls_options: Type.Optional(TlsOptionsSchema),
    http_options: Type.Optional(HttpOptionsSchema),
    checks: Type.Optional(Type.Array(HttpCheckSchema)),
  },
  'an HTTP app on ports 80 and 443',
)
const ServiceSchema = table(
  {
    ...serviceKeys,
    protocol: text('tcp or udp. Default tcp'),
    ports: Type.Optional(Type.Array(PortSchema)),
    tcp_checks: Type.Optional(Type.Array(TcpCheckSchema)),
    http_checks: Type.Optional(Type.Array(HttpCheckSchema)),
  },
  'a port of the app that the public reaches',
)
const MountSchema = table(
  {
    source: text('name of the volume'),
    destination: text('where it is mounted; not /'),
    initial_size: size('of a new volume. Default 1gb'),
    snapshot_retention: whole('days that snapshots are kept, 1 to 60. Default 5'),
    scheduled_snapshots: flag('snapshot each day. Default true'),
    auto_extend_size_threshold: whole('percent used at which it grows, 50 to 99'),
    auto_extend_size_increment: size('by which it grows, 1gb to 100gb'),
    auto_extend_size_limit: size('beyond which it does not grow, up to 500gb; 0: none'),
    processes,
  },
  'a volume in each machine',
)
const VmSchema = table(
  {
    size: text('a preset, such as shared-cpu-1x'),
    memory: size('RAM'),
    cpus: whole('virtual CPUs'),
    cpu_kind: text('shared or performance'),
    memory_mb: whole('RAM in MiB; beats memory'),
    max_memory_mb: whole('ceiling of memory that is added later'),
    gpus: whole('not offered'),
    gpu_kind: text('not offered'),
    host_dedication_id: text('only hosts of that dedication'),
    kernel_args: texts('added to the command line of the kernel'),
    persist_rootfs: text('never, restart or always. Default never'),
    processes,
  },
  'size of machines',
)
const FileSchema = table(
  {
    guest_path: text('absolute path in the machine'),
    local_path: text('a file here'),
    secret_name: text('a secret that holds it, base64'),
    raw_value: text('its content'),
    processes,
  },
  'a file that each machine gets',
)

/** An app's configuration: everything that a file may say. */
export const AppConfigSchema = table(
  {
    app: text('its name'),
    primary_region: text('where new machines are made'),
    kill_signal: text('that stops a machine. Default SIGINT'),
    kill_timeout: duration(
      'before a machine that was told to stop is killed, up to 5m. Default 5s',
    ),
    swap_size_mb: whole('swap in MiB'),
    console_command: text('what `console` runs'),
    host_dedication_id: text('only hosts of that dedication'),
    machine_config: text('a machine configuration to start from: JSON, or a file of it'),
    container: text('the container that gets the image. Default app, else the first'),
    machine_checks: Type.Optional(Type.Array(MachineCheckSchema)),
    build: Type.Optional(
      table(
        {
          image: text('instead of building one'),
          dockerfile: text('path from the folder of this file'),
          ignorefile: text('instead of .dockerignore'),
          'build-target': text('stage of the Dockerfile'),
          args: textMap('build arguments'),
          builder: text('a buildpack builder'),
          buildpacks: texts('buildpacks'),
          builtin: text('a builder of old'),
          settings: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
          compose: Type.Optional(
            table({ file: text('the Compose file') }, 'containers of a machine'),
          ),
          compression: text('gzip or zstd. Default gzip'),
          compression_level: whole('0 to 9. Default 7'),
        },
        'where the image comes from',
      ),
    ),
    deploy: Type.Optional(
      table(
        {
          strategy: text('rolling, immediate, canary or bluegreen. Default rolling'),
          max_unavailable: Type.Optional(
            Type.Number({ description: 'machines at once; below 1 a share of them. Default 0.33' }),
          ),
          wait_timeout: duration('for a machine to start and be healthy. Default 5m'),
          release_command: text('run once before machines are changed'),
          release_command_timeout: duration('for that command. Default 5m'),
          release_command_vm: Type.Optional(VmSchema),
          seed_command: text('run once after the first release command'),
        },
        'how a release reaches machines',
      ),
    ),
    env: textMap('environment of all processes; names that begin with FLY_ are ours'),
    processes: textMap('process groups and their commands'),
    http_service: Type.Optional(HttpServiceSchema),
    services: Type.Optional(Type.Array(ServiceSchema)),
    checks: Type.Optional(Type.Record(Type.String(), CheckSchema)),
    mounts: Type.Optional(Type.Array(MountSchema)),
    vm: Type.Optional(Type.Array(VmSchema)),
    restart: Type.Optional(
      Type.Array(
        table(
          {
            policy: text('always, never or on-failure'),
            retries: whole('in five minutes. Default 10'),
            processes,
          },
          'when a machine that ended is started again',
        ),
      ),
    ),
    statics: Type.Optional(
      Type.Array(
        table(
          {
            guest_path: text('a folder in the image'),
            url_prefix: text('where it is served'),
            tigris_bucket: text('a bucket instead of the image'),
            index_document: text('served for a folder'),
          },
          'files that are served without asking the app',
        ),
      ),
    ),
    files: Type.Optional(Type.Array(FileSchema)),
    metrics: Type.Optional(
      Type.Array(
        table(
          {
            port: whole('where metrics are served'),
            path: text('where metrics are served'),
            https: flag('over TLS'),
            processes,
          },
          'Prometheus metrics of the app',
        ),
      ),
    ),
    experimental: Type.Optional(
      table(
        {
          cmd: texts("instead of the image's Cmd"),
          entrypoint: texts("instead of the image's Entrypoint"),
          exec: texts('the whole command line'),
          auto_rollback: flag('accepted, without effect'),
          enable_consul: flag('accepted, without effect'),
          enable_etcd: flag('accepted, without effect'),
          lazy_load_images: flag('accepted, without effect'),
          machine_config: text('as the key of the top level'),
          attached: Type.Optional(
            table(
              { secrets: Type.Optional(table({ export: textMap('names') }, 'of an attached app')) },
              'for launch --attach',
            ),
          ),
        },
        'what may change',
      ),
    ),
  },
  'an app',
)

export type AppConfig = Static<typeof AppConfigSchema>
export type HttpService = Static<typeof HttpServiceSchema>
export type Service = Static<typeof ServiceSchema>
export type Port = Static<typeof PortSchema>
export type TcpCheck = Static<typeof TcpCheckSchema>
export type HttpCheck = Static<typeof HttpCheckSchema>
export type Check = Static<typeof CheckSchema>
export type MachineCheck = Static<typeof MachineCheckSchema>
export type Mount = Static<typeof MountSchema>
export type Vm = Static<typeof VmSchema>
export type ConfigFile = Static<typeof FileSchema>
