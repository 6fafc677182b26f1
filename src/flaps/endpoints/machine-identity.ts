import { Type } from 'typebox'
import { ok } from '../answer.ts'
import type { Call } from '../call.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { readMachine } from '../machine-reads.ts'
import { optionalText } from './schemas.ts'

/** Long enough to be exchanged for something else. Source: the documented claims. */
const LIFETIME_S = 600
const AWS_TAGS = 'https://aws.amazon.com/tags'

export const machineIdentityEndpoints = [
  endpoint({
    id: 'Tokens_request_OIDC',
    method: 'POST',
    path: '/v1/tokens/oidc',
    tag: 'Tokens',
    summary: 'A JWT by which others know the machine that asks, by its socket /.fly/api.',
    body: Type.Object({
      aud: optionalText(),
      aws_principal_tags: Type.Optional(Type.Array(Type.String())),
    }),
    answers: { 200: Type.String() },
    access: { on: 'self', feature: 'oidc' },
    limit: 'action',
    example: { body: { aud: 'sts.amazonaws.com' } },
    async handle(call) {
      const { body, services } = call
      const claims = await claimsOf(call, body.aud)
      const tags = body.aws_principal_tags
      return ok(services.identity.sign(tags ? { ...claims, ...tagsOf(claims, tags) } : claims))
    },
  }),

  endpoint({
    id: 'Tokens_request_Kms',
    method: 'POST',
    path: '/v1/tokens/kms',
    tag: 'Tokens',
    summary:
      'A token that may use the secret keys of the app of the machine that asks, for ten minutes.',
    answers: { 200: Type.String() },
    access: { on: 'self', feature: 'kms' },
    limit: 'action',
    async handle({ app, services }) {
      return ok(await services.directory.createKeyToken(app, { expiresInS: LIFETIME_S }))
    },
  }),
]

async function claimsOf(call: Call, audience: string | undefined) {
  const { app, services } = call
  const { organization } = app
  const issuer = services.identity.issuerOf(organization.slug)
  if (issuer === undefined) {
    throw refuse('flaps.unprocessable', 'this platform issues no identities: it has no issuer')
  }
  const { machine } = await readMachine(call, { consistent: false })
  const { registry = '', repository = '', tag = '', digest = '' } = imageOf(machine.image_ref)
  const nowS = Math.floor(services.clock.nowMs() / 1000)
  const reference = `${registry === '' ? '' : `${registry}/`}${repository}`
  return {
    iss: issuer,
    sub: `${organization.slug}:${app.name}:${machine.name}`,
    aud: audience || issuer,
    iat: nowS,
    nbf: nowS,
    exp: nowS + LIFETIME_S,
    jti: call.requestId,
    app_id: String(app.numericId),
    app_name: app.name,
    org_id: String(organization.numericId),
    org_name: organization.slug,
    machine_id: machine.id,
    machine_name: machine.name,
    machine_version: machine.instance_id,
    region: machine.region,
    image: tag === '' ? reference : `${reference}:${tag}`,
    image_digest: digest,
  }
}

const imageOf = (ref: unknown) =>
  (ref ?? {}) as { registry?: string; repository?: string; tag?: string; digest?: string }

/** Session tags as AWS STS reads them from a web identity. @throws FlapsError flaps.argument_bad */
function tagsOf(claims: Readonly<Record<string, unknown>>, names: readonly string[]): object {
  const unknown = names.find((name) => !Object.hasOwn(claims, name))
  if (unknown !== undefined) {
    throw refuse('flaps.argument_bad', `invalid_argument: no claim '${unknown.slice(0, 40)}'`)
  }
  const tags = Object.fromEntries(names.map((name) => [name, [String(claims[name])]]))
  return { [AWS_TAGS]: { principal_tags: tags, transitive_tag_keys: names } }
}
