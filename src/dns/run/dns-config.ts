import { type Static, Type } from 'typebox'
import { loadConfig } from '#base'

const closed = { additionalProperties: false }
const endpoints = (options: { default?: string[]; minItems?: number }) =>
  Type.Array(Type.String(), options)

const dnsSchema = Type.Object(
  {
    /** Where this resolver stands, for `top<N>.nearest.of`. */
    host_id: Type.String({ minLength: 1 }),
    region: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    /** `ip:port`, `[ip]:port`: where machines and peers ask, UDP and TCP. Answers come from the address asked. */
    listen: endpoints({ default: ['[fdaa::3]:53'] }),
    /** `/healthz` and `/metrics`. */
    observe: Type.String({ default: '127.0.0.1:9253' }),
    /** The socket of `godwit dns query`. */
    admin: Type.String({ default: '/run/godwit/dns.sock' }),
    /** This host's agent. */
    corrosion: Type.Object(
      {
        url: Type.String({ default: 'http://127.0.0.1:8080' }),
        bearer_token: Type.Optional(Type.String({ minLength: 1 })),
      },
      { ...closed, default: {} },
    ),
    /** Recursive resolvers for names that are not of the network, in the order in which they are tried. */
    upstream: Type.Object(
      {
        servers: endpoints({ default: [] }),
        try_ms: Type.Integer({ default: 1500, minimum: 50, maximum: 10_000 }),
      },
      { ...closed, default: {} },
    ),
    limits: Type.Object(
      {
        /** Of one machine or peer, over UDP. */
        questions_per_second: Type.Integer({ default: 5000, minimum: 1 }),
        waiting: Type.Integer({ default: 64, minimum: 1 }),
      },
      { ...closed, default: {} },
    ),
    /** The zone that was delegated to this server. Absent: none. */
    public: Type.Optional(
      Type.Object(
        {
          domain: Type.String({ minLength: 1 }),
          name_servers: Type.Array(Type.String(), { minItems: 1 }),
          issuers: Type.Array(Type.String(), { default: [] }),
          listen: endpoints({ minItems: 1 }),
        },
        closed,
      ),
    ),
  },
  closed,
)

export type DnsConfig = Static<typeof dnsSchema>

/** @throws BaseError base.config_unreadable, base.config_bad */
export const loadDnsConfig = (file: string): DnsConfig =>
  loadConfig({ schema: dnsSchema, file, envPrefix: 'GODWIT_DNS' })
