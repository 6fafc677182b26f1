import { Type } from 'typebox'
import { guestOf, presetOf } from '#flyd'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import { endpoint } from '../endpoint.ts'
import { regionsOf } from '../region-choice.ts'
import { roomIn } from '../region-room.ts'
import type { RegionRow } from '../rows.ts'
import { guestInput, optionalText, optionalWhole } from './schemas.ts'

const tag = 'Platform'
const COUNT_DEFAULT = 10

export const platformEndpoints = [
  endpoint({
    id: 'Platform_regions_get',
    method: 'GET',
    path: '/v1/platform/regions',
    tag,
    summary: 'Where machines can run.',
    query: Type.Object({
      size: optionalText(),
      cpu_kind: optionalText(),
      memory_mb: optionalWhole(),
      cpus: optionalWhole(),
    }),
    answers: {
      200: Type.Object({ regions: Type.Array(Type.Object({})), nearest: Type.String() }),
    },
    access: { on: 'token' },
    limit: 'none',
    async handle({ services }) {
      const { rows, region } = services
      const gateways = new Set(
        rows.hosts().flatMap((host) => (host.isGateway ? [host.region] : [])),
      )
      return ok({
        regions: rows.regions().map((row) => regionJson(row, gateways.has(row.code))),
        nearest: region,
      })
    },
  }),

  endpoint({
    id: 'Platform_placements_post',
    method: 'POST',
    path: '/v1/platform/placements',
    tag,
    summary: 'How many machines would fit where, best first. Reserves nothing.',
    body: Type.Object({
      org_slug: Type.String(),
      region: optionalText(),
      compute: Type.Optional(
        Type.Union([Type.String({ description: 'name of a size' }), guestInput]),
      ),
      count: optionalWhole(),
      volume_name: optionalText(),
      volume_size_bytes: Type.Optional(Type.Integer({ minimum: 0 })),
      weights: Type.Optional(Type.Record(Type.String(), Type.Number())),
    }),
    answers: {
      200: Type.Object({
        regions: Type.Array(
          Type.Object({
            region: Type.String(),
            count: Type.Integer(),
            concurrency: Type.Integer(),
          }),
        ),
      }),
    },
    access: { on: 'org', action: Action.read, slugFrom: 'body' },
    limit: 'none',
    example: { body: { org_slug: 'birds', region: 'ams', compute: 'shared-cpu-1x', count: 2 } },
    async handle({ body, services }) {
      const wanted = (body.region || '[region],any').replaceAll('[region]', services.region)
      const regions = roomIn(services.rows.hosts(), {
        regions: regionsOf(wanted, services),
        guest: sizeOf(body.compute || 'performance-1x'),
        count: body.count || COUNT_DEFAULT,
      })
      return ok({ regions })
    },
  }),
]

const sizeOf = (compute: string | object) =>
  typeof compute === 'string' ? presetOf(compute) : guestOf({ guest: compute })

const regionJson = ({ code, name, latitude, longitude }: RegionRow, hasGateway: boolean) => ({
  code,
  name: name || code,
  latitude,
  longitude,
  gateway_available: hasGateway,
  requires_paid_plan: false,
  deprecated: false,
  capacity: 0,
  geo_region: geoRegion(latitude, longitude),
  mpg_available: false,
})

/** The five parts of the world that clients group regions by. */
function geoRegion(latitude: number, longitude: number): string {
  if (longitude < -30) return latitude > 13 ? 'north_america' : 'south_america'
  if (longitude > 60 || (longitude > 45 && latitude < 35)) return 'asia_pacific'
  return latitude > 35 ? 'europe' : 'africa'
}
