import { PERSONAL_SLUG } from '#flaps'
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
        call.allows(MAY_ALL, { organization }) ? 'admin' : 'member',
      provisionsBetaExtensions: () => false,
      remoteBuilderImage: () => '',
      allowedReplaySourceOrgSlugs: () => [],
      allowAllCrossNetworkReplays: () => false,
      members: ({ organization }: OrganizationView, _args: unknown, call: WebCall) => {
        call.require(READ_ORG, { organization })
        const members = call.options.accounts.members(organization.slug).map((member) => ({
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
