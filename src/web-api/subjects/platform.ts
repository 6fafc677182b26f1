import { type RegionRow, refuse } from '#flaps'
import type { Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'

export const platform: Subject = {
  sdl: `
    extend type Query { platform: Platform! nearestRegion(wireguardGateway: Boolean): Region! }
    type Platform { requestRegion: String regions: [Region!]! }
    type Region {
      code: String! name: String! latitude: Float longitude: Float gatewayAvailable: Boolean!
      requiresPaidPlan: Boolean! deprecated: Boolean!
    }
  `,
  resolvers: {
    Query: {
      platform: (_none: unknown, _args: unknown, { services }: WebCall) => ({
        ...{ requestRegion: services.region, regions: services.rows.regions() },
      }),
      /** Where the caller came in; for devices, where they can connect to. */
      nearestRegion(
        _none: unknown,
        { wireguardGateway }: { wireguardGateway?: boolean | null },
        { services: { rows, region } }: WebCall,
      ): RegionRow {
        const all = rows.regions()
        const gateways = rows.wireguardGateways()
        const heard = gateways.filter(({ isHeard }) => isHeard)
        const usable = new Set((heard.length > 0 ? heard : gateways).map((one) => one.region))
        const own = all.filter(({ code }) => wireguardGateway !== true || usable.has(code))
        const found = own.find(({ code }) => code === region) ?? own[0]
        if (found !== undefined) return found
        throw refuse('flaps.unprocessable', 'no region has a WireGuard gateway')
      },
    },
    Region: {
      name: ({ code, name }: RegionRow) => name || code,
      gatewayAvailable: ({ code }: RegionRow, _args: unknown, { services }: WebCall) =>
        services.rows.wireguardGateways().some(({ region }) => region === code),
      requiresPaidPlan: () => false,
      deprecated: () => false,
    },
  },
}
