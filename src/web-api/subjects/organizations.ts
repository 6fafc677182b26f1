import { errorCode, slugify } from '#base'
import { PERSONAL_SLUG, refuse, requireMayMint } from '#flaps'
import { nodes, type Subject } from '../graphql/subject.ts'
import {
  EVERYTHING,
  type OrganizationView,
  organizationId,
  READ_ORG,
  type WebCall,
} from '../web-call.ts'

const MAY_ALL = { on: 'org', action: EVERYTHING, slugFrom: 'path' } as const

export const organizations: Subject = {
  sdl: `
    extend type Query {
      organizations(admin: Boolean): OrganizationConnection!
      organization(slug: String, id: ID): Organization
    }
    extend type Mutation {
      createOrganization(input: CreateOrganizationInput!): CreateOrganizationPayload!
    }
    input CreateOrganizationInput {
      clientMutationId: String name: String! appsV2DefaultOn: String
    }
    type CreateOrganizationPayload { organization: Organization! token: String }
    type OrganizationConnection { nodes: [Organization!]! }
    enum OrganizationType { PERSONAL SHARED }
    enum BillingStatus {
      CURRENT DELINQUENT PAST_DUE SOURCE_REQUIRED SUSPENDED TRIAL_ACTIVE TRIAL_ENDED
    }
    type Organization {
      id: ID! internalNumericId: BigInt! slug: String! rawSlug: String! name: String!
      type: OrganizationType! paidPlan: Boolean! billable: Boolean! billingStatus: BillingStatus!
      viewerRole: String addOnSsoLink: String extensionSsoLink(provider: String!): String
      provisionsBetaExtensions: Boolean! remoteBuilderImage: String remoteBuilderApp: App
      members: MemberConnection! apps: AppConnection!
      allowedReplaySourceOrgSlugs: [String!]! allowAllCrossNetworkReplays: Boolean!
    }
    type MemberConnection { edges: [MemberEdge!]! nodes: [User!]! }
    type MemberEdge {
      cursor: String! node: User! joinedAt: ISO8601DateTime role: String!
    }
  `,
  resolvers: {
    Query: {
      organizations: async (_none: unknown, _args: unknown, call: WebCall) =>
        nodes(await call.organizations()),
      organization: (
        _none: unknown,
        { slug, id }: { slug?: string | null; id?: string | null },
        call: WebCall,
      ) => call.organization(slug ?? id ?? ''),
    },
    Mutation: { createOrganization: create },
    Organization: {
      id: ({ organization }: OrganizationView) => organizationId(organization),
      internalNumericId: ({ organization }: OrganizationView) => organization.numericId,
      slug: ({ slug }: OrganizationView) => slug,
      rawSlug: ({ organization }: OrganizationView) => organization.slug,
      name: ({ organization }: OrganizationView) => organization.name,
      type: ({ slug }: OrganizationView) => (slug === PERSONAL_SLUG ? 'PERSONAL' : 'SHARED'),
      paidPlan: () => false,
      /** Who cannot be billed gets no second machine of a new app from clients. */
      billable: () => true,
      billingStatus: () => 'CURRENT',
      viewerRole: ({ organization }: OrganizationView, _args: unknown, call: WebCall) =>
        call.once(`role ${organization.id}`, () =>
          call.allows(MAY_ALL, { organization }) ? 'admin' : 'member',
        ),
      provisionsBetaExtensions: () => false,
      remoteBuilderImage: () => '',
      allowedReplaySourceOrgSlugs: () => [],
      allowAllCrossNetworkReplays: () => false,
      members: ({ organization }: OrganizationView, _args: unknown, call: WebCall) => {
        call.require(READ_ORG, { organization })
        const all = call.once(`members ${organization.id}`, () =>
          call.options.accounts.members(organization.slug),
        )
        const members = all.map((member) => ({
          ...{ cursor: String(member.userId), role: member.role.toUpperCase(), joinedAt: null },
          node: { id: `user_${member.userId}`, name: member.email, ...memberOf(member.email) },
        }))
        return { edges: members, nodes: members.map(({ node }) => node) }
      },
      apps: async ({ organization }: OrganizationView, _args: unknown, call: WebCall) => ({
        ...nodes(await call.appsOf(organization)),
        pageInfo: { hasNextPage: false, endCursor: null },
      }),
    },
  },
}

const memberOf = (email: string) => ({ email, enablePaidHobby: false, agreedToProviderTos: false })

/**
 * By people who have logged in and are an organisation's admin somewhere, which makes them the new one's. Their tokens
 * are not of it: the next login's are.
 */
async function create(
  _none: unknown,
  { input: { name } }: { input: { readonly name: string } },
  call: WebCall,
) {
  const { accounts } = call.options
  const { token, user } = call
  const own = (await call.organizations()).map(({ organization }) => organization)
  const isAdmin = ({ slug }: { slug: string }) =>
    accounts.members(slug).some(({ email, role }) => email === user && role === 'admin')
  const home = own.find(
    (organization) => call.allows(MAY_ALL, { organization }) && isAdmin(organization),
  )
  if (user === undefined || home === undefined) {
    throw refuse(
      'flaps.forbidden',
      'organisations are made by admins who have logged in, and by the operator: godwit orgs create',
    )
  }
  requireMayMint(call.require(MAY_ALL, { organization: home }))
  call.spendRate('createOrganization')
  const slug = slugify(name)
  if (slug === '') throw refuse('flaps.argument_bad', 'invalid_argument: a name without letters')
  const { who, requestId } = call.byOf(token)
  const by = { who, requestId }
  try {
    const { id } = accounts.createOrganization(by, { slug, name })
    accounts.addMember(by, { organization: slug, email: user, role: 'admin' })
    const made = await call.services.directory.organizationOfToken(id, call.signal)
    return { organization: { organization: made, slug }, token: null }
  } catch (error) {
    if (errorCode(error) !== 'accounts.taken') throw error
    throw refuse('flaps.unprocessable', `Validation failed: ${slug} is taken`, error)
  }
}
