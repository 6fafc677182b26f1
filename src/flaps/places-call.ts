import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { PLACES_PATH, refuse } from '#flyd'
import type { GatewayCall } from './gateway-api.ts'
import type { Placement } from './placement.ts'

const text = Type.String({ maxLength: 4_096 })
const askSchema = Type.Object({
  machine: text,
  appId: text,
  region: text,
  image: text,
  guest: Type.Object({
    cpuKind: Type.Union([Type.Literal('shared'), Type.Literal('performance')]),
    cpus: Type.Integer({ minimum: 1 }),
    memoryMb: Type.Integer({ minimum: 1 }),
  }),
})

const REFUSALS_SHOWN = 3

/** Room for a machine that must leave its host, in its region: the host that leaves takes nothing itself. */
export const placesCall = (placement: Placement): GatewayCall => ({
  path: PLACES_PATH,
  async answer(body, { signal }) {
    if (!Value.Check(askSchema, body)) {
      throw refuse('flyd.argument_bad', 'invalid_argument: not what this call takes')
    }
    const { machine, appId, region, image, guest } = body
    const answer = await placement.place(
      {
        ...{ id: machine, appId, regions: [region], guest, volumeGb: 0, apart: [] },
        ...{ volume: undefined, dedication: undefined, exclusive: undefined },
        image: image || undefined,
      },
      signal,
    )
    if (answer.placed) return answer.place
    const why = answer.refusals
      .slice(0, REFUSALS_SHOWN)
      .map(({ where, reason }) => `${where}: ${reason}`)
    throw refuse(
      'flyd.conflict',
      `aborted: no other host of ${region} takes it: ${why.join('; ') || 'no host answered'}`,
    )
  },
})
