import { Type } from 'typebox'
import { TOKEN_PROFILES } from '#accounts'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { noContent, ok } from '../answer.ts'
import type { IssuedToken } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { durationMs } from '../go-duration.ts'
import { lifetimeS, requireMayMint } from '../may-mint.ts'
import { optionalText } from './schemas.ts'

const tag = 'Tokens'
const path = '/v1/orgs/:org/tokens'
const COMMANDS_MAX = 64
const WORDS_MAX = 64

/** Whoever makes or ends tokens could do all that they can. */
const everything = Action.read | Action.write | Action.create | Action.delete | Action.control

const tokenAnswer = Type.Object({
  id: Type.String({ description: 'shared by all that is attenuated from it' }),
  name: Type.String(),
  profile: Type.String(),
  app_name: Type.Union([Type.String(), Type.Null()]),
  created_by: Type.String(),
  created_at: Type.String(),
  expires_at: Type.Union([Type.String(), Type.Null()]),
  revoked_at: Type.Union([Type.String(), Type.Null()]),
})

export const issuedTokenEndpoints = [
  endpoint({
    id: 'Tokens_list',
    method: 'GET',
    path,
    tag,
    summary: 'What was issued, newest first; the tokens themselves are kept nowhere.',
    answers: { 200: Type.Object({ tokens: Type.Array(tokenAnswer) }) },
    access: { on: 'org', action: Action.read, slugFrom: 'path' },
    limit: 'none',
    async handle({ organization, services, signal }) {
      const tokens = await services.directory.tokens.list(organization, signal)
      return ok({ tokens: tokens.map(tokenJson) })
    },
  }),

  endpoint({
    id: 'Tokens_create',
    method: 'POST',
    path,
    tag,
    summary: 'A new token, shown once. It lives no longer than the one that asks for it.',
    body: Type.Object({
      profile: Type.Union(TOKEN_PROFILES.map((one) => Type.Literal(one))),
      name: optionalText(),
      app_name: optionalText(),
      machine_id: optionalText(),
      expiry: Type.Optional(Type.String({ description: 'such as 720h; left out: never' })),
      commands: Type.Optional(
        Type.Array(Type.Array(Type.String(), { maxItems: WORDS_MAX }), {
          maxItems: COMMANDS_MAX,
          description: 'beginnings of what a machine-exec token may run',
        }),
      ),
    }),
    answers: { 200: Type.Intersect([tokenAnswer, Type.Object({ token: Type.String() })]) },
    access: { on: 'org', action: everything, slugFrom: 'path' },
    limit: 'action',
    example: { body: { profile: 'org', expiry: '24h' } },
    async handle(call) {
      const { organization, body, services, by } = call
      requireMayMint(call.token)
      const askedMs = durationMs(body.expiry, 'expiry')
      const askedS = askedMs === undefined ? undefined : Math.ceil(askedMs / 1000)
      const expiresInS = lifetimeS(call.token, { askedS, nowMs: services.clock.nowMs() })
      const { header, ...token } = await services.directory.tokens.create(
        organization,
        {
          profile: body.profile,
          ...given('name', body.name),
          ...given('app', body.app_name),
          ...given('machine', body.machine_id),
          ...(body.commands === undefined ? {} : { commands: body.commands }),
          ...(expiresInS === undefined ? {} : { expiresInS }),
        },
        by,
      )
      return ok({ ...tokenJson(token), token: header })
    },
  }),

  endpoint({
    id: 'Tokens_revoke',
    method: 'DELETE',
    path: `${path}/:token`,
    tag,
    summary: 'Ends a token, and all that was attenuated from it, within seconds.',
    answers: { 204: null },
    access: { on: 'org', action: everything, slugFrom: 'path' },
    limit: 'action',
    async handle(call) {
      requireMayMint(call.token)
      const { organization, services, by } = call
      if (await services.directory.tokens.revoke(organization, call.param('token'), by)) {
        return noContent
      }
      throw refuse('flaps.not_found', 'not_found: no such token')
    },
  }),
]

const given = <Key extends string>(key: Key, value: string | undefined) =>
  (value === undefined || value === '' ? {} : { [key]: value }) as { [K in Key]?: string }

const tokenJson = (token: IssuedToken) => ({
  id: token.uuid,
  name: token.name,
  profile: token.profile,
  app_name: token.app ?? null,
  created_by: token.createdBy,
  created_at: timeText(token.createdAtMs),
  expires_at: token.expiresAtMs === undefined ? null : timeText(token.expiresAtMs),
  revoked_at: token.revokedAtMs === undefined ? null : timeText(token.revokedAtMs),
})
