import { type Static, Type } from 'typebox'
import { BaseError, loadConfig } from '#base'
import { HOST_API_PORT } from '#flyd'
import { STATE_FOLDER } from '#net6'
import { clusterMember } from './join/cluster-member.ts'

const closed = { additionalProperties: false }

const flapsSchema = Type.Object(
  {
    /** Where this instance stands, for callers that name no region. */
    region: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    /** `ip:port`, `[ip]:port`. */
    listen: Type.String({ default: '127.0.0.1:4280' }),
    /** `/healthz` and `/metrics`. */
    admin: Type.String({ default: '127.0.0.1:9280' }),
    /** Absent: plain HTTP, for behind a proxy. PEM files. */
    tls: Type.Optional(Type.Object({ cert_file: Type.String(), key_file: Type.String() }, closed)),
    /** The database of this host's corrosion agent. Only read. */
    replica: Type.String(),
    /** Absent: nobody tells which hosts are gone, and no other host learns of apps. */
    agent: Type.Optional(
      Type.Object(
        {
          /** The admin socket of this host's corrosion agent. */
          socket: Type.String(),
          /** This host. */
          host: Type.String(),
          /** Its HTTP API, by which apps and addresses are told to other hosts. */
          url: Type.String({ default: 'http://127.0.0.1:8080' }),
          token: Type.Optional(Type.String()),
          /**
           * The key ring of the edges, which keys of certificates that people bring are sealed with. Absent: another
           * gateway gives them to edges.
           */
          edge_keys: Type.Optional(Type.String()),
        },
        closed,
      ),
    ),
    accounts: Type.Object({ database: Type.String(), key_ring: Type.String() }, closed),
    nats: Type.Object(
      {
        /** The host that runs nats-server, which is found by its row. */
        host: Type.Optional(Type.String()),
        /** Absent with `host`. */
        servers: Type.Array(Type.String(), { default: [] }),
        /** A file with the nkey's seed. */
        seed_file: Type.String(),
        /** This instance among all that ask; its nkey may hear replies for it alone. */
        client: Type.String(),
      },
      closed,
    ),
    /** Takes images from clients' files, and gives them to hosts. Absent: it does neither. */
    images: Type.Optional(
      Type.Object(
        {
          folder: Type.String(),
          /** For hosts alone: `mesh:port` is this host's own address on the mesh. */
          listen: Type.String(),
          /** Of all images together; the oldest that nothing uses go first. */
          bytes_max: Type.Integer({ minimum: 1 << 20, default: 20 * 2 ** 30 }),
        },
        closed,
      ),
    ),
    /** Makes the log of machines, or brings it to this size. Absent: another gateway does. */
    logs: Type.Optional(
      Type.Object(
        {
          /** At most what nats-server was given for it. */
          bytes_max: Type.Integer({ minimum: 1 << 20 }),
        },
        closed,
      ),
    ),
    hosts: Type.Object(
      {
        /** The secret of the cluster, the same on all hosts: 64 hexadecimal digits. */
        key_file: Type.String(),
        /** Of the hosts' APIs, on the backhaul. */
        port: Type.Integer({ minimum: 1, maximum: 65_535, default: HOST_API_PORT }),
      },
      closed,
    ),
    /** Lets servers join the cluster here. Absent, or without the key: it does not. */
    join: Type.Optional(
      Type.Object(
        {
          /** What all hosts know the cluster by. */
          ca_file: Type.String(),
          /** Of the authority that signs for hosts in its place (docs/adr/0010). */
          joining_cert_file: Type.String(),
          joining_key_file: Type.String(),
          app_domain: Type.Optional(Type.String()),
          members: Type.Array(clusterMember),
        },
        closed,
      ),
    ),
    /** For hosts alone: `mesh:port`, as above. Absent: this instance gives out no secrets. */
    secrets: Type.Optional(Type.Object({ listen: Type.String() }, closed)),
    /** The API and the log stream for organisations' networks, which hosts hand on. Absent: not here. */
    networks: Type.Optional(
      Type.Object(
        {
          /** An address of this host, or `mesh`. The ports are those that hosts know: 4284 and 4285. */
          address: Type.String(),
        },
        closed,
      ),
    ),
    /** Says to others which machine somebody is. Absent: it does not. */
    oidc: Type.Optional(
      Type.Object(
        {
          /** In front of organisations' names, as others reach this API: `https://oidc.example.com`. */
          issuer: Type.String({ pattern: '^https?://[^?#]+$' }),
        },
        closed,
      ),
    ),
    /** `<app>.<domain>` are the apps' own names, as edges have it. Absent: apps have none. */
    app_domain: Type.Optional(Type.String()),
    /** As `godwit net run` on this host has it, for `mesh` in place of an address. */
    network: Type.Object(
      { folder: Type.String({ default: STATE_FOLDER }) },
      { ...closed, default: {} },
    ),
    addresses: Type.Object(
      {
        v4: Type.Array(Type.String(), { default: [] }),
        shared_v4: Type.Optional(Type.String()),
        v6_prefix: Type.Optional(Type.String()),
      },
      { ...closed, default: {} },
    ),
  },
  closed,
)

export type FlapsConfig = Static<typeof flapsSchema>

/** @throws BaseError base.config_unreadable, base.config_bad */
export const loadFlapsConfig = (file: string): FlapsConfig =>
  loadConfig({ schema: flapsSchema, file, envPrefix: 'GODWIT_FLAPS' })

/** @throws BaseError base.value_bad */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  if (host !== undefined && port <= 65_535) return { host, port }
  throw new BaseError('base.value_bad', {
    what: 'not an address to listen on',
    values: { value: text },
    fix: 'write one like 127.0.0.1:4280 or [::]:4280',
  })
}
