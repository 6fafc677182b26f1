/**
 * web-api: what flyctl asks beside the Machines API, at the same address: GraphQL at `/graphql`, and the web and
 * "uiex" calls at `/api/v1/`. Owns nothing: it asks the same tokens by the same rules as #flaps, and hands each
 * change to the call of the Machines API that makes it.
 *
 * Reading order: web-api.ts (what is served), web-call.ts (one request, and who may), graphql/ (limits, execution),
 * subjects/ (the schema and its answers, a subject a file), rest/.
 */
export type { FoundImage, ImageLookup } from './image-lookup.ts'
export { registryImages } from './image-lookup.ts'
export { webApi, webApiOver } from './web-api.ts'
export type { WebAccounts, WebApiOptions } from './web-api-options.ts'
