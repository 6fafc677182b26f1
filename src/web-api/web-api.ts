import { addRoute, type OpenedForExtensions, type ServerExtension } from '#flaps'
import { addGraphqlRoute } from './graphql/graphql-route.ts'
import { registryImages } from './image-lookup.ts'
import { buildEndpoints } from './rest/builds.ts'
import { loginEndpoints } from './rest/logins.ts'
import { webLogEndpoints } from './rest/logs.ts'
import { webOrganizationEndpoints } from './rest/organizations.ts'
import { webReleaseEndpoints } from './rest/releases.ts'
import type { WebApiOptions } from './web-api-options.ts'

/** GraphQL and the web's REST calls, on a server of the Machines API. */
export function webApi(options: WebApiOptions): ServerExtension {
  const endpoints = [
    ...webOrganizationEndpoints(options),
    ...buildEndpoints,
    ...webReleaseEndpoints(options),
    ...webLogEndpoints,
    ...loginEndpoints(options),
  ]
  return (fastify, around) => {
    for (const endpoint of endpoints) addRoute(fastify, endpoint, around)
    addGraphqlRoute(fastify, around, options)
  }
}

/** The same over what an instance of the Machines API has opened. */
export const webApiOver = ({ accounts, config, depot }: OpenedForExtensions): ServerExtension =>
  webApi({
    ...{ accounts, images: registryImages(depot), appDomain: config.app_domain },
    isTls: config.tls !== undefined,
  })
