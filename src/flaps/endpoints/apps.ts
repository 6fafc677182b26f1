import { Type } from 'typebox'
import { Action, type ActionMask } from '#macaroon'
import { ok } from '../answer.ts'
import { appJson } from '../app-json.ts'
import { destroyApp } from '../destroy-app.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { durationMs } from '../go-duration.ts'
import { lifetimeS, requireMayMint } from '../may-mint.ts'
import { optionalFlag, optionalText } from './schemas.ts'

const tag = 'Apps'

/** To mint a token is to do all that it may. */
const everything: ActionMask =
  Action.read | Action.write | Action.create | Action.delete | Action.control

const appAnswer = Type.Object({
  id: Type.String(),
  name: Type.String(),
  internal_numeric_id: Type.Integer(),
  network: Type.String(),
  status: Type.String({ description: '`pending`, `deployed` or `suspended`' }),
  machine_count: Type.Integer(),
  volume_count: Type.Integer(),
  organization: Type.Object({
    name: Type.String(),
    slug: Type.String(),
    internal_numeric_id: Type.Integer(),
  }),
})

/** Also a host name's label. */
const APP_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

export const appEndpoints = [
  endpoint({
    id: 'Apps_list',
    method: 'GET',
    path: '/v1/apps',
    tag,
    summary: "An organisation's apps.",
    query: Type.Object({ org_slug: Type.String(), app_role: optionalText() }),
    answers: { 200: Type.Object({ total_apps: Type.Integer(), apps: Type.Array(appAnswer) }) },
    access: { on: 'org', action: Action.read, slugFrom: 'query' },
    limit: 'none',
    example: { query: { org_slug: 'birds' } },
    async handle({ query, organization, services, signal }) {
      const role = query.app_role === undefined ? {} : { role: query.app_role }
      const apps = await services.directory.apps(organization, { ...role, signal })
      return ok({
        total_apps: apps.length,
        apps: apps.map((app) => appJson(app, services.rows)),
      })
    },
  }),

  endpoint({
    id: 'Apps_create',
    method: 'POST',
    path: '/v1/apps',
    tag,
    summary: 'Creates an app. `app_name` and `name` are the same.',
    query: Type.Object({ wait: optionalFlag() }),
    body: Type.Object({
      name: optionalText(),
      app_name: optionalText(),
      org_slug: Type.String(),
      network: optionalText(),
      enable_subdomains: optionalFlag(),
      app_role_id: optionalText(),
      idempotency_key: optionalText(),
    }),
    answers: { 201: appAnswer },
    access: { on: 'newApp', action: Action.create },
    limit: 'none',
    example: { body: { name: 'heron', org_slug: 'birds' } },
    async handle({ body, organization, services, by }) {
      const name = body.name || body.app_name || ''
      if (!APP_NAME.test(name) && !(name === '' && body.idempotency_key)) {
        throw refuse(
          'flaps.unprocessable',
          'Validation failed: Name under 63 chars using numbers, lowercase letters and dashes',
        )
      }
      const app = await services.directory.createApp(
        {
          name,
          organization,
          network: body.network ?? '',
          role: body.app_role_id ?? '',
          enableSubdomains: body.enable_subdomains ?? false,
          idempotencyKey: body.idempotency_key || undefined,
        },
        by,
      )
      return {
        status: 201,
        body: { ...appJson(app, services.rows), created_at: app.createdAtMs },
      }
    },
  }),

  endpoint({
    id: 'Apps_show',
    method: 'GET',
    path: '/v1/apps/:app',
    tag,
    summary: 'One app.',
    answers: { 200: appAnswer },
    access: { on: 'app', action: Action.read },
    limit: 'none',
    handle: async ({ app, services }) => ok(appJson(app, services.rows)),
  }),

  endpoint({
    id: 'Apps_delete',
    method: 'DELETE',
    path: '/v1/apps/:app',
    tag,
    summary: 'Deletes an app with all it has; machines that run only with `force`.',
    query: Type.Object({ force: optionalFlag() }),
    answers: { 202: null },
    access: { on: 'app', action: Action.delete },
    limit: 'deleteApp',
    async handle(call) {
      await destroyApp(call, { force: call.query.force ?? false })
      return { status: 202 }
    },
  }),

  endpoint({
    id: 'Apps_create_deploy_token',
    method: 'POST',
    path: '/v1/apps/:app/deploy_token',
    tag,
    summary: 'A token that may do everything to this app and nothing else.',
    body: Type.Object({ expiry: optionalText() }),
    answers: { 200: Type.Object({ token: Type.String() }) },
    access: { on: 'app', action: everything },
    limit: 'action',
    example: { body: { expiry: '24h' } },
    async handle(call) {
      const { app, body, services } = call
      requireMayMint(call.token)
      const expiryMs = durationMs(body.expiry, 'expiry')
      const askedS = expiryMs === undefined ? undefined : Math.ceil(expiryMs / 1000)
      const nowMs = services.clock.nowMs()
      const token = await services.directory.createDeployToken(
        app,
        { expiresInS: lifetimeS(call.token, { askedS, nowMs }) },
        call.by,
      )
      return ok({ token })
    },
  }),
]
