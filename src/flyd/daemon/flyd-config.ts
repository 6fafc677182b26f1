import { type Static, Type } from 'typebox'
import { loadConfig } from '#base'
import { MESH, MTU_BYTES, STATE_FOLDER } from '#net6'
import { SECRETS_PORT } from '../api/gateway-port.ts'
import { HOST_API_PORT } from '../api/host-clients.ts'
import { IMAGES_PORT } from './host-addresses.ts'

const closed = { additionalProperties: false }
const ratio = (standard: number) => Type.Number({ exclusiveMinimum: 0, default: standard })
const count = (standard: number) => Type.Integer({ minimum: 0, default: standard })

const flydSchema = Type.Object(
  {
    /** The host's name in all rows and messages. */
    host: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
    region: Type.Object(
      {
        code: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
        name: Type.String({ default: '' }),
        latitude: Type.Number({ minimum: -90, maximum: 90, default: 0 }),
        longitude: Type.Number({ minimum: -180, maximum: 180, default: 0 }),
      },
      closed,
    ),
    /** State of its own: log, images, guests, machines' logs. Short: sockets lie below. */
    folder: Type.String({ default: '/var/lib/godwit/flyd' }),
    is_gateway: Type.Boolean({ default: false }),
    is_edge: Type.Boolean({ default: false }),
    /** How machines run. */
    runtime: Type.Union([Type.Literal('runc'), Type.Literal('qemu')], { default: 'runc' }),
    api: Type.Object(
      {
        /** Where other hosts find this one, `hosts.backhaul_ip`: its address on the mesh, or one that is written here. */
        address: Type.String({ default: MESH }),
        port: Type.Integer({ minimum: 0, maximum: 65_535, default: HOST_API_PORT }),
        /** The secret of the cluster: 64 hexadecimal digits. */
        key_file: Type.String(),
      },
      closed,
    ),
    admin: Type.Object(
      {
        /** `/healthz` and `/metrics`: `ip:port`. */
        listen: Type.String({ default: '127.0.0.1:9281' }),
        /** Who may open it may command flyd. */
        socket: Type.String({ default: '/run/godwit/flyd.sock' }),
      },
      { ...closed, default: {} },
    ),
    /** Where this host's proxy tells what it counts. Absent: organisations' figures have none of it. */
    proxy_metrics: Type.Optional(Type.String({ pattern: '^http://' })),
    /** The API of this host's corrosion agent. */
    corrosion: Type.Object(
      {
        url: Type.String({ default: 'http://127.0.0.1:8080' }),
        token: Type.Optional(Type.String()),
        /** Its admin socket, which tells what hosts are gone. Absent: standbys do not start. */
        socket: Type.Optional(Type.String()),
      },
      { ...closed, default: {} },
    ),
    /** Absent: this host takes no new machines from the market. */
    nats: Type.Optional(
      Type.Object(
        {
          /** The host that runs nats-server, which is found by its row. */
          host: Type.Optional(Type.String()),
          /** Absent with `host`. */
          servers: Type.Array(Type.String(), { default: [] }),
          /** A file with the nkey's seed. */
          seed_file: Type.String(),
        },
        closed,
      ),
    ),
    /** Absent: apps have no secrets here. */
    secrets: Type.Optional(
      Type.Object(
        /** On which gateways give them out. */
        { port: Type.Integer({ minimum: 1, maximum: 65_535, default: SECRETS_PORT }) },
        closed,
      ),
    ),
    /** The private network's state and packets: as `godwit net run` on this host has them. */
    network: Type.Object(
      {
        folder: Type.String({ default: STATE_FOLDER }),
        mtu_bytes: Type.Integer({ minimum: 1_280, maximum: 65_535, default: MTU_BYTES }),
      },
      { ...closed, default: {} },
    ),
    capacity: Type.Object(
      {
        /** Hardware threads for machines. @default all but what the host keeps */
        cpus: Type.Optional(Type.Integer({ minimum: 0 })),
        memory_mb: Type.Optional(Type.Integer({ minimum: 0 })),
        machines_max: count(1_000),
        /** vCPUs for each thread. */
        shared_ratio: ratio(16),
        performance_ratio: ratio(1),
        memory_ratio: ratio(1),
        volume_ratio: ratio(1),
        hardware: Type.String({ default: 'generic' }),
        dedication: Type.Optional(Type.String()),
      },
      { ...closed, default: {} },
    ),
    /** Roots and volumes. */
    pool: Type.Object(
      {
        /** @default `pool` in `folder` */
        folder: Type.Optional(Type.String()),
        /** Where its file system cannot share blocks: the size of the one made in it. */
        size_gb: Type.Integer({ minimum: 1, default: 100 }),
      },
      { ...closed, default: {} },
    ),
    images: Type.Object(
      {
        cache_gb: Type.Integer({ minimum: 1, default: 20 }),
        /** On which gateways give out images that came from clients' files. */
        port: Type.Integer({ minimum: 1, maximum: 65_535, default: IMAGES_PORT }),
      },
      { ...closed, default: {} },
    ),
  },
  closed,
)

export type FlydConfig = Static<typeof flydSchema>

/** @throws BaseError base.config_unreadable, base.config_bad */
export const loadFlydConfig = (file: string): FlydConfig =>
  loadConfig({ schema: flydSchema, file, envPrefix: 'GODWIT_FLYD' })
