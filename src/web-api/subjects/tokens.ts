import type { IssuedToken, TokenProfile } from '#accounts'
import { type App, durationMs, lifetimeS, type Organization, refuse, requireMayMint } from '#flaps'
import type { VerifiedToken } from '#macaroon'
import { nodes, type Subject } from '../graphql/subject.ts'
import { EVERYTHING, type OrganizationView, READ_ORG, type WebCall } from '../web-call.ts'
import { userJson } from './viewer.ts'

const ALL_OF_APP = { on: 'app', action: EVERYTHING } as const
const ALL_OF_ORG = { on: 'org', action: EVERYTHING, slugFrom: 'path' } as const

export const tokens: Subject = {
  sdl: `
    extend type App { limitedAccessTokens: LimitedAccessTokenConnection! }
    extend type Organization { limitedAccessTokens: LimitedAccessTokenConnection! }
    extend type Mutation {
      createLimitedAccessToken(input: CreateLimitedAccessTokenInput!): CreateLimitedAccessTokenPayload!
      deleteLimitedAccessToken(input: DeleteLimitedAccessTokenInput!): DeleteLimitedAccessTokenPayload!
    }
    type LimitedAccessTokenConnection { nodes: [LimitedAccessToken!]! }
    type LimitedAccessToken {
      id: ID! name: String! "Empty: it is shown once, to who made it." token: String!
      tokenHeader: String! profile: String expiresAt: ISO8601DateTime revokedAt: ISO8601DateTime
      user: User createdAt: ISO8601DateTime
    }
    input CreateLimitedAccessTokenInput {
      clientMutationId: String name: String! organizationId: ID! profile: String!
      profileParams: JSON expiry: String optInThirdParties: [String!]
    }
    type CreateLimitedAccessTokenPayload { limitedAccessToken: LimitedAccessToken! }
    input DeleteLimitedAccessTokenInput { clientMutationId: String id: ID token: String }
    type DeleteLimitedAccessTokenPayload { token: String }
  `,
  resolvers: {
    App: {
      limitedAccessTokens: (app: App, _args: unknown, call: WebCall) => {
        const all = tokensOf(app.organization, call)
        return nodes(all.filter((one) => one.app === app.name && isShown(one)).map(tokenJson))
      },
    },
    Organization: {
      limitedAccessTokens: ({ organization }: OrganizationView, _args: unknown, call: WebCall) => {
        call.require(READ_ORG, { organization })
        const all = tokensOf(organization, call)
        return nodes(all.filter(isShown).map(tokenJson))
      },
    },
    Mutation: { createLimitedAccessToken: create, deleteLimitedAccessToken: revoke },
  },
}

interface CreateInput {
  readonly name: string
  readonly organizationId: string
  readonly profile: string
  readonly profileParams?: unknown
  readonly expiry?: string | null
}

const tokensOf = ({ id, slug }: Organization, call: WebCall): readonly IssuedToken[] =>
  call.once(`tokens ${id}`, () => call.options.accounts.tokens(slug))

/** Only who may do all that it may, and is narrowed by nothing that it would not have. */
async function create(_none: unknown, { input }: { input: CreateInput }, call: WebCall) {
  const { name, profile } = input
  const { organization } = await call.organization(input.organizationId)
  const app = profile === 'deploy' ? await appFor(input, call) : undefined
  const minter = mintedBy(call, { organization, ...(app && { app }) })
  call.spendRate('createLimitedAccessToken')
  const wanted =
    app === undefined
      ? { profile: profileOf(profile) }
      : { profile: 'deploy' as const, app: app.name }
  const askedMs = durationMs(input.expiry ?? undefined, 'expiry')
  const askedS = askedMs === undefined ? undefined : Math.ceil(askedMs / 1000)
  const expiresInS = lifetimeS(minter, { askedS, nowMs: call.nowMs })
  const { who, requestId } = call.byOf(minter)
  const made = call.options.accounts.createToken(
    { who, requestId },
    {
      ...{ organization: organization.slug, name, ...wanted },
      ...(expiresInS === undefined ? {} : { expiresInS }),
    },
  )
  return { limitedAccessToken: { ...tokenJson(made), tokenHeader: made.header } }
}

async function appFor({ profileParams }: CreateInput, call: WebCall): Promise<App> {
  const { app_id: name } = (profileParams ?? {}) as { app_id?: unknown }
  if (typeof name === 'string') return await call.app(name, ALL_OF_APP)
  throw refuse('flaps.argument_bad', 'invalid_argument: the profile deploy is for one app: app_id')
}

/** Of the profiles of the original; those for its own services are none here. */
function profileOf(profile: string): TokenProfile {
  if (profile === 'deploy_organization') return 'org'
  throw refuse(
    'flaps.argument_bad',
    `invalid_argument: no profile ${profile.slice(0, 60)} here: deploy, deploy_organization`,
  )
}

function mintedBy(call: WebCall, target: Parameters<WebCall['require']>[1]): VerifiedToken {
  const token = call.require(target.app === undefined ? ALL_OF_ORG : ALL_OF_APP, target)
  if (target.app !== undefined && target.app.organization.id !== target.organization.id) {
    throw refuse('flaps.argument_bad', 'invalid_argument: the app is of another organisation')
  }
  requireMayMint(token)
  return token
}

/** Who could make one can take it back. */
async function revoke(
  _none: unknown,
  { input }: { input: { readonly id?: string | null } },
  call: WebCall,
) {
  const id = input.id ?? ''
  for (const { organization, slug } of await call.organizations()) {
    if (slug !== organization.slug) continue
    const found = call.options.accounts.tokens(slug).find(({ uuid }) => uuid === id)
    if (found === undefined) continue
    const app = found.app === undefined ? undefined : await appLeft(found.app, call)
    const revoker = mintedBy(call, { organization, ...(app && { app }) })
    const { who, requestId } = call.byOf(revoker)
    call.options.accounts.revokeToken({ who, requestId }, { uuid: id })
    return { token: null }
  }
  throw refuse('flaps.not_found', 'not_found: no such token')
}

/** Undefined: deleted since; its tokens are the organisation's then. */
const appLeft = (name: string, call: WebCall): Promise<App | undefined> =>
  call.services.directory.app(name, call.signal)

/** Those of machines come and go by themselves. */
const isShown = ({ revokedAtMs }: IssuedToken) => revokedAtMs === undefined

const tokenJson = (token: IssuedToken) => ({
  ...{ id: token.uuid, name: token.name, token: '', tokenHeader: '', profile: token.profile },
  ...{ expiresAt: token.expiresAtMs ?? null, revokedAt: token.revokedAtMs ?? null },
  ...{ user: userJson(token.createdBy), createdAt: token.createdAtMs },
})
