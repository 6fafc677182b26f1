import { Type } from 'typebox'
import type { Release } from '#accounts'
import { type Endpoint, endpoint, ok, refuse } from '#flaps'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { failureOf, isInProgress } from '../subjects/releases.ts'
import type { WebApiOptions } from '../web-api-options.ts'
import { webCallOf } from './organizations.ts'

const tag = 'Web'
const read = { on: 'app', action: Action.read } as const
const write = { on: 'app', action: Action.write } as const
const LIMIT = 25
const LIMIT_MAX = 100

const releaseAnswer = Type.Object({
  id: Type.String(),
  version: Type.Integer(),
  stable: Type.Boolean(),
  in_progress: Type.Boolean(),
  status: Type.String(),
  strategy: Type.String(),
  user: Type.String(),
  created_at: Type.String(),
  image_ref: Type.String(),
})

const statusInput = Type.Union(
  (['pending', 'running', 'complete', 'failed', 'interrupted'] as const).map((one) =>
    Type.Literal(one),
  ),
)

/** The same releases as those of the Machines API, as clients of the original name them. */
export const webReleaseEndpoints = (options: WebApiOptions): readonly Endpoint[] => [
  endpoint({
    id: 'Web_releases_create',
    method: 'POST',
    path: '/api/v1/releases',
    tag,
    summary: 'Keeps what is about to be deployed.',
    body: Type.Object({
      app_name: Type.String(),
      image: Type.String(),
      strategy: Type.Optional(Type.String()),
      definition: Type.Optional(Type.Unknown()),
    }),
    answers: { 201: Type.Object({ release: releaseAnswer }) },
    access: { ...write, nameFrom: 'body' },
    limit: 'action',
    async handle({ app, body, services, by }) {
      const { image, strategy = 'rolling', definition = {} } = body
      const input = { image, strategy: strategy.toLowerCase(), definition }
      const release = await services.directory.releases.create(app, input, by)
      return { status: 201, body: { release: releaseJson(release) } }
    },
  }),

  endpoint({
    id: 'Web_releases_update',
    method: 'PATCH',
    path: '/api/v1/releases/:release',
    tag,
    summary: 'Says how it goes.',
    body: Type.Object({ status: statusInput, metadata: Type.Optional(Type.Unknown()) }),
    answers: { 200: releaseAnswer },
    access: { on: 'token' },
    limit: 'query',
    async handle(call) {
      const { body, services } = call
      const id = call.param('release')
      const app = options.accounts.appOfRelease(id)
      const known = app && (await services.directory.app(app.name, call.signal))
      if (known === undefined) throw refuse('flaps.not_found', 'not_found: release not found')
      const web = webCallOf(call, options)
      const token = web.require(write, { organization: known.organization, app: known })
      const change = { status: body.status, error: failureOf(body.metadata) }
      const { releases } = services.directory
      return ok(releaseJson(await releases.update(known, id, change, web.byOf(token))))
    },
  }),

  endpoint({
    id: 'Web_releases_list',
    method: 'GET',
    path: '/api/v1/apps/:app/releases',
    tag,
    summary: 'What was deployed, newest first.',
    query: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1 })) }),
    answers: { 200: Type.Object({ releases: Type.Array(releaseAnswer) }) },
    access: read,
    limit: 'query',
    async handle({ app, query, services, signal }) {
      const limit = Math.min(query.limit ?? LIMIT, LIMIT_MAX)
      const releases = await services.directory.releases.list(app, { limit, signal })
      return ok({ releases: releases.map(releaseJson) })
    },
  }),

  endpoint({
    id: 'Web_releases_current',
    method: 'GET',
    path: '/api/v1/apps/:app/releases/current',
    tag,
    summary: 'The newest that is complete.',
    answers: { 200: releaseAnswer },
    access: read,
    limit: 'query',
    async handle({ app, services, signal }) {
      const releases = await services.directory.releases.list(app, { limit: LIMIT_MAX, signal })
      const current = releases.find(({ status }) => status === 'complete')
      if (current === undefined)
        throw refuse('flaps.not_found', 'not_found: no release is complete')
      return ok(releaseJson(current))
    },
  }),
]

const releaseJson = (release: Release) => ({
  id: release.id,
  version: release.version,
  stable: true,
  in_progress: isInProgress(release.status),
  status: release.status,
  strategy: release.strategy.toUpperCase(),
  user: release.createdBy,
  created_at: timeText(release.createdAtMs),
  image_ref: release.image,
})
