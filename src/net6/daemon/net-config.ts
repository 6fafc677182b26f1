import { type Static, Type } from 'typebox'
import { loadConfig } from '#base'
import { DRAIN_MS } from '../anycast/announcer-state.ts'
import { bgpSchema } from '../anycast/bgp-config.ts'
import { PEER_PORT } from '../gateway/peer-gateway.ts'
import { STATE_FOLDER } from '../health/network-status.ts'
import { MTU_BYTES } from '../machine/machine-networks.ts'
import { MESH_PORT } from '../mesh/mesh.ts'

const closed = { additionalProperties: false }

const netSchema = Type.Object(
  {
    /** The host's name in all rows. */
    host_id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
    /** Where other hosts find this one: an IPv4 or IPv6 address, without a port. */
    public_address: Type.String({ minLength: 2 }),
    /** UDP, of WireGuard; the one above it, too, while a key is changed. */
    port: Type.Integer({ minimum: 1, maximum: 65_534, default: MESH_PORT }),
    /** The same on all hosts. */
    mtu_bytes: Type.Integer({ minimum: 1_280, maximum: 65_535, default: MTU_BYTES }),
    /** Keys, this host's number, machines' addresses; lasts over reboots, and flyd's is the same. */
    folder: Type.String({ default: STATE_FOLDER }),
    /** `/healthz` and `/metrics`: `ip:port`, `[ip]:port`. */
    observe: Type.String({
      pattern: '^(?:\\[[0-9a-fA-F:.]+\\]|[0-9.]+):[0-9]{1,5}$',
      default: '127.0.0.1:9254',
    }),
    /** Who may open it may command the daemon. */
    socket: Type.String({ default: '/run/godwit/net.sock' }),
    /** Lets people's devices join their networks here. Absent: another host does. */
    gateway: Type.Optional(
      Type.Object(
        {
          region: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
          /** UDP. Stock clients know no other than the default. */
          port: Type.Integer({ minimum: 1, maximum: 65_535, default: PEER_PORT }),
          /** WireGuard through WebSockets, for who has no UDP. Absent: not here. */
          web_socket: Type.Optional(
            Type.Object(
              {
                /** `ip:port`; clients know no other port than 443. */
                listen: Type.String(),
                /** PEM files; nobody verifies the certificate. */
                cert_file: Type.String(),
                key_file: Type.String(),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
    ),
    /** Announces prefixes by BIRD while this host's proxy is well. Absent: this host announces nothing. */
    anycast: Type.Optional(
      Type.Object(
        {
          /** The operator's own: nothing else is ever announced. */
          prefixes: Type.Array(Type.String(), { minItems: 1 }),
          /** Of BIRD's daemon, which has static protocols `anycast_N` and `anycast_N_draining` for them. */
          bird_socket: Type.String({ default: '/run/bird/bird.ctl' }),
          /** The admin socket of this host's proxy. */
          proxy_socket: Type.String({ default: '/run/godwit/proxy.sock' }),
          /** How long neighbours are asked to prefer others before the prefixes go. */
          drain_s: Type.Integer({ minimum: 0, maximum: 86_400, default: DRAIN_MS / 1000 }),
          /** BIRD's configuration is written by this daemon. Absent: it is the operator's. */
          bgp: Type.Optional(bgpSchema),
        },
        closed,
      ),
    ),
    /** This host's agent. */
    corrosion: Type.Object(
      {
        url: Type.String({ default: 'http://127.0.0.1:8080' }),
        token: Type.Optional(Type.String({ minLength: 1 })),
      },
      { ...closed, default: {} },
    ),
  },
  closed,
)

export type NetConfig = Static<typeof netSchema>

/** @throws BaseError base.config_unreadable, base.config_bad */
export const loadNetConfig = (file: string): NetConfig =>
  loadConfig({ schema: netSchema, file, envPrefix: 'GODWIT_NET' })
