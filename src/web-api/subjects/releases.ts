import type { Release } from '#accounts'
import { type App, refuse } from '#flaps'
import { freeJson } from '../graphql/scalars.ts'
import { nodes, type Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'
import { userJson } from './viewer.ts'

const LIMIT = 25
const LIMIT_MAX = 100

export const releases: Subject = {
  sdl: `
    extend type App {
      currentRelease: Release currentReleaseUnprocessed: ReleaseUnprocessed
      releases(first: Int): ReleaseConnection!
      releasesUnprocessed(first: Int): ReleaseUnprocessedConnection!
    }
    extend type Mutation {
      createRelease(input: CreateReleaseInput!): CreateReleasePayload!
      updateRelease(input: UpdateReleaseInput!): UpdateReleasePayload!
    }
    input CreateReleaseInput {
      clientMutationId: String appId: ID! image: String! platformVersion: String!
      strategy: DeploymentStrategy! definition: JSON! buildId: ID
    }
    input UpdateReleaseInput {
      clientMutationId: String releaseId: ID! status: String! metadata: JSON
    }
    enum DeploymentStrategy { BLUEGREEN CANARY IMMEDIATE ROLLING ROLLING_ONE SIMPLE }
    type CreateReleasePayload { release: ReleaseUnprocessed! app: App! }
    type UpdateReleasePayload { release: ReleaseUnprocessed! }
    type ReleaseConnection { nodes: [Release!]! }
    type ReleaseUnprocessedConnection { nodes: [ReleaseUnprocessed!]! }
    type Release {
      id: ID! version: Int! status: String! description: String reason: String stable: Boolean!
      inProgress: Boolean! imageRef: String user: User createdAt: ISO8601DateTime!
      configDefinition: JSON evaluationId: String
    }
    type ReleaseUnprocessed {
      id: ID! version: Int! status: String! description: String reason: String stable: Boolean!
      inProgress: Boolean! imageRef: String user: User createdAt: ISO8601DateTime!
      configDefinition: JSON evaluationId: String
    }
  `,
  resolvers: {
    App: {
      currentRelease: latestOf,
      currentReleaseUnprocessed: latestOf,
      releases: pageOf,
      releasesUnprocessed: pageOf,
    },
    Mutation: {
      async createRelease(_none: unknown, { input }: { input: CreateReleaseInput }, call: WebCall) {
        const { appId, image, strategy, definition } = input
        const params = { app: appId }
        const body = { image, strategy: strategy.toLowerCase(), definition }
        const { id } = await call.perform('Releases_create', { params, body })
        const app = await call.changedApp(appId)
        return { app, release: await oneOf(app, id, call) }
      },
      async updateRelease(_none: unknown, { input }: { input: UpdateReleaseInput }, call: WebCall) {
        const app = await appOfRelease(input.releaseId, call)
        const params = { app: app.name, release: input.releaseId }
        const failure = failureOf(input.metadata)
        await call.perform('Releases_update', { params, body: { status: input.status, failure } })
        return { release: await oneOf(app, input.releaseId, call) }
      },
    },
    Release: releaseFields(),
    ReleaseUnprocessed: releaseFields(),
  },
}

interface CreateReleaseInput {
  readonly appId: string
  readonly image: string
  readonly strategy: string
  readonly definition: unknown
}

interface UpdateReleaseInput {
  readonly releaseId: string
  readonly status: string
  readonly metadata?: unknown
}

/** Newest first. Who may read the app may read them. */
export const releasesOf = (app: App, limit: number, call: WebCall): Promise<readonly Release[]> =>
  call.once(`releases ${app.id} ${limit}`, () =>
    call.services.directory.releases.list(app, { limit, signal: call.signal }),
  )

/** Why a deployment ended, as the client that made it says. */
export function failureOf(metadata: unknown): string {
  const { post_deployment_info: info } = (metadata ?? {}) as { post_deployment_info?: unknown }
  const { error } = (info ?? {}) as { error?: unknown }
  return typeof error === 'string' ? error.slice(0, FAILURE_CHARS_MAX) : ''
}

const FAILURE_CHARS_MAX = 4_000

/** Whose release it is. Grants nothing. @throws FlapsError flaps.not_found */
export async function appOfRelease(id: string, call: WebCall): Promise<App> {
  const found = call.options.accounts.appOfRelease(id)
  if (found === undefined) throw refuse('flaps.not_found', 'not_found: release not found')
  return await call.changedApp(found.name)
}

async function oneOf(app: App, id: string, call: WebCall): Promise<Release> {
  const { releases: all } = call.services.directory
  const newest = await all.list(app, { limit: LIMIT_MAX, signal: call.signal })
  const found = newest.find((one) => one.id === id)
  if (found !== undefined) return found
  throw refuse('flaps.not_found', 'not_found: release not found')
}

async function latestOf(app: App, _args: unknown, call: WebCall): Promise<Release | null> {
  return (await releasesOf(app, 1, call))[0] ?? null
}

async function pageOf(app: App, { first }: { first?: number | null }, call: WebCall) {
  const limit = Math.min(Math.max(first ?? LIMIT, 1), LIMIT_MAX)
  return nodes(await releasesOf(app, limit, call))
}

function releaseFields() {
  return {
    inProgress: ({ status }: Release) => isInProgress(status),
    stable: () => true,
    description: ({ strategy }: Release) => `Deploy, ${strategy}`,
    reason: ({ error }: Release) => error,
    imageRef: ({ image }: Release) => image,
    user: ({ createdBy }: Release) => userJson(createdBy),
    createdAt: ({ createdAtMs }: Release) => createdAtMs,
    ...{ configDefinition: definitionOf, evaluationId: () => null },
  }
}

function definitionOf({ definition }: Release, _args: unknown, call: WebCall): unknown {
  return freeJson(definition, call)
}

export const isInProgress = (status: Release['status']): boolean =>
  status === 'pending' || status === 'running'
