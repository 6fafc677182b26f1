import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { loadConfig } from '#base'
import { bgpSchema } from '#net6'
import { HostError } from './errors.ts'

const closed = { additionalProperties: false }
const hostId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })
const regionCode = Type.String({ pattern: '^[a-z0-9-]{1,32}$' })

const roles = Type.Array(
  Type.Union([
    /** Runs machines. */
    Type.Literal('worker'),
    /** Serves the API. */
    Type.Literal('gateway'),
    /** Takes visitors' connections. */
    Type.Literal('edge'),
    /** Runs the nats-server of the cluster, and keeps the log of machines. One host has it. */
    Type.Literal('nats'),
  ]),
  { minItems: 1, uniqueItems: true },
)

export const memberSchema = Type.Object(
  {
    host: hostId,
    region: regionCode,
    /** On the backhaul. */
    address: Type.String(),
    roles,
    /** Public nkey of its flyd: `U...` */
    nkey: Type.String({ pattern: '^U[A-Z2-7]{55}$' }),
    /** Public nkey of its flaps. Of gateways. */
    gateway_nkey: Type.Optional(Type.String({ pattern: '^U[A-Z2-7]{55}$' })),
  },
  closed,
)

export const hostSchema = Type.Object(
  {
    /** The host's name in all rows and messages. One of `members`. */
    host: hostId,
    region: Type.Object(
      {
        code: regionCode,
        name: Type.String({ default: '' }),
        latitude: Type.Number({ minimum: -90, maximum: 90, default: 0 }),
        longitude: Type.Number({ minimum: -180, maximum: 180, default: 0 }),
      },
      closed,
    ),
    /** State: a folder for each part, and `logs` with what parts print. */
    folder: Type.String({ default: '/var/lib/godwit' }),
    /** Sockets, pid files, and the parts' configurations as they follow from this file. */
    run_folder: Type.String({ default: '/run/godwit' }),
    /**
     * The folder of `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`, `cluster.key`, `nats.seed`
     * and, on a gateway, `gateway.seed`, `joining.pem`, `joining.key`; `edge-keys`, which all hosts share. @default `secrets` in `folder`
     */
    secrets: Type.Optional(Type.String()),
    worker: Type.Object(
      {
        /** How machines run: containers, or virtual machines, with KVM where it works. @default runc */
        runtime: Type.Optional(Type.Union([Type.Literal('runc'), Type.Literal('qemu')])),
        /** Hardware threads for machines. @default all */
        cpus: Type.Optional(Type.Integer({ minimum: 0 })),
        /** @default nine tenths of what there is */
        memory_mb: Type.Optional(Type.Integer({ minimum: 0 })),
        /** Roots and volumes of machines. */
        pool_gb: Type.Integer({ minimum: 1, default: 100 }),
        image_cache_gb: Type.Integer({ minimum: 1, default: 20 }),
        /** When machines are stopped that nobody needs: see docs/proxy.md. The same on all hosts. */
        autostop: Type.Optional(
          Type.Object(
            {
              period_s: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
              up_s: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
              settle_s: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
            },
            closed,
          ),
        ),
      },
      { ...closed, default: {} },
    ),
    gateway: Type.Object(
      {
        /** Of the API: `ip:port`. @default port 4280 of the host's address */
        listen: Type.Optional(Type.String()),
        /** The folder with `accounts.db` and `key-ring`. @default `accounts` in `folder` */
        accounts: Type.Optional(Type.String()),
        /** In front of organisations' names in the tokens by which others know machines; leads to the API. */
        oidc_issuer: Type.Optional(Type.String({ pattern: '^https?://[^?#]+$' })),
        /** That apps may be given. */
        addresses: Type.Object(
          {
            /** Each for one app. */
            v4: Type.Array(Type.String(), { default: [] }),
            /** One for all apps. */
            shared_v4: Type.Optional(Type.String()),
            /** The first 64 bits, as `2001:db8:1:2`. */
            v6_prefix: Type.Optional(Type.String()),
          },
          { ...closed, default: {} },
        ),
      },
      { ...closed, default: {} },
    ),
    edge: Type.Object(
      {
        /** `<app>.<domain>` are the apps' own names. The same on all hosts. */
        app_domain: Type.Optional(Type.String()),
        /**
         * Of this host: visitors of all apps that have the shared address may come there, too. For edges in whose front
         * no prefix is announced.
         */
        addresses: Type.Optional(Type.Array(Type.String())),
        /** Announced while this host's proxy is well. Absent: routes are somebody else's matter. */
        anycast: Type.Optional(
          Type.Object(
            {
              prefixes: Type.Array(Type.String(), { minItems: 1 }),
              bird_socket: Type.Optional(Type.String()),
              drain_s: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
              /** BIRD's sessions with neighbours. Absent: its configuration is the operator's own. */
              bgp: Type.Optional(bgpSchema),
            },
            closed,
          ),
        ),
        /** Orders certificates for apps' own host names. Absent: this host orders none. */
        acme: Type.Optional(
          Type.Object(
            {
              directory_url: Type.String(),
              email: Type.Optional(Type.String()),
              /** For wildcards: see docs/proxy.md. */
              dns_hook: Type.Optional(Type.String()),
            },
            closed,
          ),
        ),
        /** The folder of the authority that signs for these names: `godwit ca --folder`. */
        local_ca: Type.Optional(Type.String()),
      },
      { ...closed, default: {} },
    ),
    dns: Type.Object(
      {
        /** Recursive resolvers for names that are not the platform's: `ip:port`. None: such names are refused. */
        upstream: Type.Array(Type.String(), { default: [] }),
      },
      { ...closed, default: {} },
    ),
    wireguard: Type.Object(
      {
        /** Lets people's devices join their organisations' networks here. */
        gateway: Type.Boolean({ default: true }),
      },
      { ...closed, default: {} },
    ),
    nats: Type.Object(
      {
        /** What the log of machines may take on disk. */
        logs_gb: Type.Number({ exclusiveMinimum: 0, default: 10 }),
      },
      { ...closed, default: {} },
    ),
    /** All hosts of the cluster, this one among them; the same in every host's file. */
    members: Type.Array(memberSchema, { minItems: 1 }),
  },
  closed,
)

export type HostConfig = Static<typeof hostSchema>
export type HostMember = Static<typeof memberSchema>
export type HostRole = HostMember['roles'][number]

/** @throws BaseError base.config_unreadable, base.config_bad; HostError host.config_bad */
export function loadHostConfig(file: string): HostConfig {
  const config = loadConfig({ schema: hostSchema, file, envPrefix: 'GODWIT_HOST' })
  selfOf(config)
  natsOf(config)
  return config
}

const settingsSchema = Type.Partial(
  Type.Object(
    {
      ...Type.Pick(hostSchema, ['run_folder', 'worker', 'edge', 'dns', 'wireguard']).properties,
      /** Where it stands, when its region is new: the cluster cannot tell it. */
      region: Type.Object(
        {
          name: Type.Optional(Type.String()),
          latitude: Type.Optional(Type.Number({ minimum: -90, maximum: 90 })),
          longitude: Type.Optional(Type.Number({ minimum: -180, maximum: 180 })),
        },
        closed,
      ),
    },
    closed,
  ),
  closed,
)
export type HostSettings = Static<typeof settingsSchema>

/** What a host's file may say beside what the cluster tells it. @throws BaseError base.config_unreadable, base.config_bad */
export const loadHostSettings = (file: string): HostSettings =>
  loadConfig({ schema: settingsSchema, file })

/** This host among the members. @throws HostError host.config_bad */
export function selfOf({ host, members }: HostConfig): HostMember {
  const self = members.find((member) => member.host === host)
  if (self !== undefined) return self
  throw bad(`no member is this host`, { host, members: members.map((one) => one.host).join(' ') })
}

/** The member with the nats-server. @throws HostError host.config_bad */
export function natsOf({ members }: HostConfig): HostMember {
  const [first, ...others] = members.filter((member) => member.roles.includes('nats'))
  if (first !== undefined && others.length === 0) return first
  throw bad('one member must have the role nats, and no more', {
    have: [first, ...others].flatMap((one) => one?.host ?? []).join(' '),
  })
}

export const hasRole = (config: HostConfig, role: HostRole): boolean =>
  selfOf(config).roles.includes(role)

/** Where the supervisor listens. */
export const hostSocketOf = ({ run_folder: run }: HostConfig): string => join(run, 'host.sock')

const bad = (what: string, values: Record<string, string>) =>
  new HostError('host.config_bad', { what, values, fix: 'mend [[members]]' })
