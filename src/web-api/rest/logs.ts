import { allEndpoints, type Endpoint } from '#flaps'

const PATH = '/v1/apps/:app/logs'

/** The Machines API's own, where clients of the original look for it. */
export const webLogEndpoints: readonly Endpoint[] = allEndpoints
  .filter(({ path }) => path === PATH)
  .map((one) => ({ ...one, id: `Web_${one.id}`, path: `/api${PATH}` }))
