import { type Static, Type } from 'typebox'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import type { Call } from '../call.ts'
import type { Release } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { optionalText, text } from './schemas.ts'

const tag = 'Releases'
const path = '/v1/apps/:app/releases'
const read = { on: 'app', action: Action.read } as const
const write = { on: 'app', action: Action.write } as const

const LIMIT = 25
const LIMIT_MAX = 100

const statusInput = Type.Union(
  (['pending', 'running', 'complete', 'failed', 'interrupted'] as const).map((one) =>
    Type.Literal(one),
  ),
)

const listed = {
  id: text(),
  version: Type.Integer({ description: 'of the app, from 1' }),
  status: text({ description: 'pending, running, complete, failed or interrupted' }),
  strategy: text(),
  image_ref: text(),
  user: text({ description: 'who deployed it' }),
  user_name: text({
    description: 'the same for people to read: a name of a token, or of a machine',
  }),
  failure: text({ description: 'why it failed; empty otherwise' }),
  created_at: text(),
  updated_at: text(),
}

const releaseAnswer = Type.Object({
  ...listed,
  definition: Type.Unknown({ description: 'the configuration of the app that was deployed' }),
})

export const releaseEndpoints = [
  endpoint({
    id: 'Releases_list',
    method: 'GET',
    path,
    tag,
    summary: 'What was deployed, newest first.',
    query: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
    }),
    answers: { 200: Type.Object({ releases: Type.Array(Type.Object(listed)) }) },
    access: read,
    limit: 'action',
    handle: async (call) =>
      ok({ releases: (await list(call, call.query.limit ?? LIMIT)).map(listedJson) }),
  }),

  endpoint({
    id: 'Releases_create',
    method: 'POST',
    path,
    tag,
    summary: 'Keeps what is about to be deployed, as the next version of the app.',
    body: Type.Object({
      image: text(),
      strategy: optionalText(),
      definition: Type.Optional(Type.Unknown()),
    }),
    answers: { 201: releaseAnswer },
    access: write,
    limit: 'action',
    example: { body: { image: 'registry.example/birds/my-app@sha256:…', strategy: 'rolling' } },
    async handle({ app, body, services, by }) {
      const { image, strategy = 'rolling', definition = {} } = body
      const release = await services.directory.releases.create(
        app,
        { image, strategy: strategy.toLowerCase(), definition },
        by,
      )
      return { status: 201, body: releaseJson(release) }
    },
  }),

  endpoint({
    id: 'Releases_show',
    method: 'GET',
    path: `${path}/:release`,
    tag,
    summary:
      'One, by its id, or `latest`: the newest, or `current`: the newest that is complete. With its definition.',
    answers: { 200: releaseAnswer },
    access: read,
    limit: 'action',
    async handle(call) {
      const wanted = call.param('release')
      const found = (await list(call, LIMIT_MAX)).find(
        ({ id, status }) =>
          wanted === 'latest' || (wanted === 'current' ? status === 'complete' : wanted === id),
      )
      if (found === undefined) throw refuse('flaps.not_found', 'not_found: release not found')
      return ok(releaseJson(found))
    },
  }),

  endpoint({
    id: 'Releases_update',
    method: 'PATCH',
    path: `${path}/:release`,
    tag,
    summary: 'Says how it goes.',
    body: Type.Object({
      status: statusInput,
      failure: optionalText(),
      ttl: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 86_400,
          description:
            'seconds within which more is told of one under way, or it reads as interrupted; absent: an hour',
        }),
      ),
    }),
    answers: { 200: releaseAnswer },
    access: write,
    limit: 'action',
    example: { body: { status: 'complete' } },
    async handle(call) {
      const { app, body, services, by } = call
      const { status, failure: error = '', ttl } = body
      const change = { status, error, ttlMs: ttl === undefined ? undefined : ttl * 1000 }
      return ok(
        releaseJson(
          await services.directory.releases.update(app, call.param('release'), change, by),
        ),
      )
    },
  }),
]

const list = (
  { app, services, signal }: Pick<Call, 'app' | 'services' | 'signal'>,
  limit: number,
) => services.directory.releases.list(app, { limit, signal })

/** As caller.ts names who calls. */
function nameOf({ createdBy, createdByName }: Release): string {
  if (createdByName !== undefined) return createdByName
  const [id = '', of] = createdBy.split('@')
  if (of === 'machines.internal') return `machine ${id}`
  return of === 'tokens.internal' ? `token ${id.slice(0, 8)}` : createdBy
}

const listedJson = (release: Release): Omit<Static<typeof releaseAnswer>, 'definition'> => ({
  id: release.id,
  version: release.version,
  status: release.status,
  strategy: release.strategy,
  image_ref: release.image,
  user: release.createdBy,
  user_name: nameOf(release),
  failure: release.error,
  created_at: timeText(release.createdAtMs),
  updated_at: timeText(release.updatedAtMs),
})

const releaseJson = (release: Release): Static<typeof releaseAnswer> => ({
  ...listedJson(release),
  definition: release.definition,
})
