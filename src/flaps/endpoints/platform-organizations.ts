import { Type } from 'typebox'
import { Action, type ActionMask } from '#macaroon'
import { noContent, ok } from '../answer.ts'
import type { Organization } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { requireMayMint } from '../may-mint.ts'
import { text } from './schemas.ts'

const tag = 'Organizations'
/** Who makes an organisation gets a token for all of it. */
const everything: ActionMask =
  Action.read | Action.write | Action.create | Action.delete | Action.control

const organizationAnswer = Type.Object({
  slug: text(),
  name: text(),
  internal_numeric_id: Type.Integer({ description: 'as tokens have it' }),
  operators: Type.Boolean({ description: 'of those who run the platform' }),
})

export const platformOrganizationEndpoints = [
  endpoint({
    id: 'Organizations_list',
    method: 'GET',
    path: '/v1/orgs',
    tag,
    summary:
      'The organisations that the tokens may read: those that they are of; all with one of the operators.',
    answers: { 200: Type.Object({ organizations: Type.Array(organizationAnswer) }) },
    access: { on: 'token' },
    limit: 'none',
    async handle(call) {
      const all = await call.services.directory.organizations(call.signal)
      const reads = ({ numericId }: Organization) =>
        call.allows({ action: Action.read, orgId: numericId })
      const isOperator = all.some((one) => one.isOperator === true && reads(one))
      const shown = isOperator ? all : all.filter(reads)
      return ok({ organizations: shown.map(organizationJson) })
    },
  }),

  endpoint({
    id: 'Organizations_create',
    method: 'POST',
    path: '/v1/orgs',
    tag,
    summary:
      'Makes an organisation. The answer has a token for all of it, which is not shown again.',
    body: Type.Object({ slug: text(), name: Type.Optional(text({ maxLength: 128 })) }),
    answers: { 201: Type.Object({ organization: organizationAnswer, token: text() }) },
    example: { body: { slug: 'newcomers' } },
    access: { on: 'operators', action: everything },
    limit: 'none',
    async handle({ body: { slug, name }, services, token, by }) {
      requireMayMint(token)
      const made = await services.directory.createOrganization({ slug, name }, by)
      const organization = organizationJson(made.organization)
      return { status: 201, body: { organization, token: made.token } }
    },
  }),

  endpoint({
    id: 'Organizations_show',
    method: 'GET',
    path: '/v1/orgs/:org',
    tag,
    summary: 'An organisation, and how many apps it has.',
    answers: {
      200: Type.Object({ organization: organizationAnswer, app_count: Type.Integer() }),
    },
    access: { on: 'org', action: Action.read, slugFrom: 'path', orOperators: true },
    limit: 'none',
    async handle({ organization, services, signal }) {
      const apps = await services.directory.apps(organization, { signal })
      return ok({ organization: organizationJson(organization), app_count: apps.length })
    },
  }),

  endpoint({
    id: 'Organizations_delete',
    method: 'DELETE',
    path: '/v1/orgs/:org',
    tag,
    summary: 'Removes an organisation that has no apps, and revokes its tokens.',
    answers: { 204: null },
    access: { on: 'org', action: Action.delete, slugFrom: 'path', orOperators: true },
    limit: 'none',
    async handle({ organization, services, by }) {
      await services.directory.deleteOrganization(organization, by)
      return noContent
    },
  }),
]

const organizationJson = ({ slug, name, numericId, isOperator = false }: Organization) => ({
  ...{ slug, name, internal_numeric_id: numericId, operators: isOperator },
})
