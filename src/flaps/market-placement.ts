import { errorCode } from '#base'
import {
  type PlacementError,
  type PlacementRequest,
  type Placer,
  parseHostId,
  parseRegion,
  refusalText,
} from '#market'
import { refuse } from './errors.ts'
import type { PlaceAnswer, Placement, PlaceRequest } from './placement.ts'

const GB = 2 ** 30

/** Nothing was reserved, and the next try may succeed: clients send it again by themselves. */
const unasked: ReadonlySet<string> = new Set([
  'market.unavailable',
  'market.overloaded',
  'market.deadline',
])
/** Hosts, or their silence, have decided. */
const refused: ReadonlySet<string> = new Set([
  'market.no_capacity',
  'market.no_match',
  'market.no_answer',
])

/** Places by asking the market. */
export function marketPlacement(placer: Placer): Placement {
  return {
    async place(request, signal): Promise<PlaceAnswer> {
      try {
        const { host, region, reservation } = await placer.place(requestOf(request), { signal })
        return { placed: true, place: { hostId: host, region, reservation } }
      } catch (error) {
        const code = errorCode(error) ?? ''
        if (unasked.has(code)) {
          const { message } = error as Error
          throw refuse('flaps.host_unreached', `unavailable: ${message}`, error)
        }
        if (!refused.has(code)) throw error
        return { placed: false, refusals: refusalsOf(error as PlacementError) }
      }
    },
    release: ({ hostId, reservation }) =>
      placer.release({ host: parseHostId(hostId), reservation }),
  }
}

function requestOf(request: PlaceRequest): PlacementRequest {
  const { volume, guest, dedication, image, exclusive } = request
  return {
    app: request.appId,
    regions: request.regions.map(parseRegion),
    volumeBytes: request.volumeGb * GB,
    apart: request.apart,
    ...(volume === undefined ? {} : { volume: volume.id, host: parseHostId(volume.hostId) }),
    ...(guest === undefined ? {} : { guest }),
    ...(dedication === undefined ? {} : { dedication }),
    ...(image === undefined ? {} : { image }),
    ...(exclusive === undefined ? {} : { exclusive }),
  }
}

const refusalsOf = ({ refusals }: PlacementError) =>
  refusals.map((one) => ({ where: one.host ?? one.region, reason: refusalText(one) }))
