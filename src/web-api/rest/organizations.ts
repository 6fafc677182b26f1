import { Type } from 'typebox'
import { type Call, type Endpoint, endpoint, ok, PERSONAL_SLUG } from '#flaps'
import type { WebApiOptions } from '../web-api-options.ts'
import { type OrganizationView, organizationId, WebCall } from '../web-call.ts'

const tag = 'Web'

const organizationAnswer = Type.Object({
  id: Type.String(),
  internal_numeric_id: Type.Integer(),
  slug: Type.String(),
  raw_slug: Type.String(),
  name: Type.String(),
  paid_plan: Type.Boolean(),
  personal: Type.Boolean(),
  billable: Type.Boolean(),
  billing_status: Type.String(),
  provisions_beta_extensions: Type.Boolean(),
  remote_builder_image: Type.String(),
})

/** Any token of an organisation will do: deployments begin with these. */
export const webOrganizationEndpoints = (options: WebApiOptions): readonly Endpoint[] => [
  endpoint({
    id: 'Web_organizations_list',
    method: 'GET',
    path: '/api/v1/organizations',
    tag,
    summary: 'The organisations that the tokens are of.',
    answers: { 200: Type.Object({ organizations: Type.Array(organizationAnswer) }) },
    access: { on: 'token' },
    limit: 'query',
    async handle(call) {
      const views = await webCallOf(call, options).organizations()
      return ok({ organizations: views.map(organizationJson) })
    },
  }),

  endpoint({
    id: 'Web_organizations_show',
    method: 'GET',
    path: '/api/v1/organizations/:org',
    tag,
    summary: 'One of them.',
    answers: { 200: Type.Object({ organization: organizationAnswer }) },
    access: { on: 'token' },
    limit: 'query',
    async handle(call) {
      const view = await webCallOf(call, options).organization(call.param('org'))
      return ok({ organization: organizationJson(view) })
    },
  }),
]

/** The same request as the rest of the web API has it. */
export const webCallOf = (call: Call, options: WebApiOptions): WebCall =>
  new WebCall({
    around: { services: call.services, limits: NO_LIMITS, log: call.log },
    ...{ options, caller: call.caller, requestId: call.requestId, signal: call.signal },
  })

/** The endpoint's own was spent already. */
const NO_LIMITS = { spend: () => undefined }

const organizationJson = ({ organization, slug }: OrganizationView) => ({
  id: organizationId(organization),
  internal_numeric_id: organization.numericId,
  slug,
  raw_slug: organization.slug,
  name: organization.name,
  paid_plan: false,
  personal: slug === PERSONAL_SLUG,
  billable: true,
  billing_status: 'CURRENT',
  provisions_beta_extensions: false,
  remote_builder_image: '',
})
