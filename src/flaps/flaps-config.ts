import { type Static, Type } from 'typebox'
import { BaseError, loadConfig } from '#base'

const closed = { additionalProperties: false }

const flapsSchema = Type.Object(
  {
    /** Where this instance stands, for callers that name no region. */
    region: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    /** `ip:port`, `[ip]:port`. */
    listen: Type.String({ default: '127.0.0.1:4280' }),
    /** `/healthz` and `/metrics`. */
    admin: Type.String({ default: '127.0.0.1:9280' }),
    /** The database of this host's corrosion agent. Only read. */
    replica: Type.String(),
    accounts: Type.Object({ database: Type.String(), key_ring: Type.String() }, closed),
    nats: Type.Object(
      {
        servers: Type.Array(Type.String(), { minItems: 1 }),
        /** A file with the nkey's seed. */
        seed_file: Type.String(),
        /** This instance among all that ask; its nkey may hear replies for it alone. */
        client: Type.String(),
      },
      closed,
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
