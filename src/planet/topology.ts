import { type Static, Type } from 'typebox'

const strict = { additionalProperties: false }
const Latitude = Type.Number({ minimum: -90, maximum: 90, description: 'degrees north' })
const Longitude = Type.Number({ minimum: -180, maximum: 180, description: 'degrees east' })

/** A region: an autonomous system with a router, and the hosts behind it. */
const RegionSchema = Type.Object(
  {
    code: Type.String({ pattern: '^[a-z][a-z0-9]{1,7}$', description: 'names the router' }),
    name: Type.Optional(Type.String({ description: 'for people' })),
    latitude: Latitude,
    longitude: Longitude,
    hosts: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 64,
        description: 'named <code>-1, ...; 0: transit only',
      }),
    ),
    asn: Type.Optional(Type.Integer({ minimum: 1, maximum: 4_294_967_294 })),
    ipv4: Type.Optional(Type.String({ description: 'unicast /24 of the region' })),
    ipv6: Type.Optional(Type.String({ description: 'unicast /48 of the region' })),
  },
  strict,
)

/** A city with users in it, and the region whose network serves it. */
const ClientSchema = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z][a-z0-9-]*$' }),
    region: Type.String(),
    latitude: Type.Optional(Latitude),
    longitude: Type.Optional(Longitude),
  },
  strict,
)

/** A link between the routers of two regions. */
const LinkSchema = Type.Object(
  {
    between: Type.Tuple([Type.String(), Type.String()]),
    delay_ms: Type.Optional(
      Type.Number({ minimum: 0, maximum: 2000, description: 'one way; default: by distance' }),
    ),
  },
  strict,
)

/** A world as its author writes it (TOML). `plan.ts` checks what a schema cannot. */
export const TopologySchema = Type.Object(
  {
    latency: Type.Optional(
      Type.Boolean({ description: 'false: every link is immediate, for speed. Default true' }),
    ),
    platform_asn: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 4_294_967_294, description: 'AS of every host' }),
    ),
    bgp_hold_s: Type.Optional(
      Type.Integer({ minimum: 3, maximum: 240, description: 'silence that ends a session' }),
    ),
    anycast: Type.Optional(
      Type.Object(
        {
          prefixes: Type.Array(Type.String(), { description: 'CIDR, IPv4 and IPv6' }),
          announce: Type.Optional(
            Type.Boolean({ description: 'announced as soon as a host boots. Default true' }),
          ),
        },
        strict,
      ),
    ),
    regions: Type.Array(RegionSchema, { minItems: 1, maxItems: 200 }),
    clients: Type.Optional(Type.Array(ClientSchema, { maxItems: 500 })),
    links: Type.Optional(Type.Array(LinkSchema, { maxItems: 120 })),
  },
  strict,
)

export type Topology = Static<typeof TopologySchema>
export type Region = Topology['regions'][number]
export type Client = NonNullable<Topology['clients']>[number]
export type Link = NonNullable<Topology['links']>[number]

/** Names of a region's hosts: `ams-1`, `ams-2`, ... */
export const hostNames = ({ code, hosts = 0 }: Region): string[] =>
  Array.from({ length: hosts }, (_, index) => `${code}-${index + 1}`)
