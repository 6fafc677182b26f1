import assert from 'node:assert/strict'
import { isMachineId, isVolumeId } from '#base'
import type { ActionMask, VerifiedToken } from '#macaroon'
import { type AccessRule, accessOf } from './access-rule.ts'
import type { Admitted } from './call.ts'
import type { Caller } from './caller.ts'
import type { App, Organization } from './directory.ts'
import type { Endpoint } from './endpoint.ts'
import {
  appNotFound,
  machineIdBad,
  machineNotFound,
  organizationNotFound,
  refuse,
} from './errors.ts'
import type { MachineSource } from './machine-api/machine-source.ts'
import { findOrganization } from './personal-organization.ts'
import type { Services } from './services.ts'
import type { Whereabouts } from './whereabouts.ts'

export interface GateRequest {
  readonly params: Readonly<Record<string, string>>
  readonly query: unknown
  readonly body: unknown
  readonly signal: AbortSignal
  readonly source?: MachineSource | undefined
}

/**
 * Finds what a call is about and asks the caller's tokens. An app that is somebody else's is 403 and
 * one that nobody has 404, for clients look for free names that way; a machine of another app is not
 * found, and neither is one of an app that the caller may not see.
 *
 * @throws FlapsError flaps.unauthenticated, flaps.forbidden, flaps.not_found
 */
export async function admit(
  endpoint: Endpoint,
  request: GateRequest,
  caller: Caller | undefined,
  services: Services,
): Promise<Admitted> {
  const rule = endpoint.access
  if (rule.on === 'nothing') return {}
  assert(caller !== undefined, 'only calls for everybody come without a caller')
  const nowMs = services.clock.nowMs()
  if (rule.on === 'token') return { caller, token: caller.requireLive(nowMs) }
  caller.requireLive(nowMs) // before anything is looked up for them
  if (rule.on === 'self' && request.source === undefined) {
    throw refuse('flaps.forbidden', 'unauthorized')
  }
  if (rule.on === 'operators') {
    const token = await operatorsToken(rule.action, caller, services, request.signal)
    if (token === undefined) throw refuse('flaps.forbidden', 'unauthorized')
    return { caller, token }
  }
  const found = await resolve(rule, request, caller, services)
  if (rule.on === 'org' && rule.orOperators === true) {
    const token = await operatorsToken(rule.action, caller, services, request.signal)
    if (token !== undefined) return { caller, token, ...found }
  }
  const machine = rule.on === 'self' ? request.source?.machine : request.params['machine']
  const token = caller.require(
    accessOf(rule, {
      orgId: found.organization.numericId,
      ...(found.app === undefined ? {} : { appId: found.app.numericId }),
      ...(machine === undefined ? {} : { machine }),
      ...(request.source === undefined ? {} : { sourceMachine: request.source.machine }),
      ...(request.params['volume'] === undefined ? {} : { volume: request.params['volume'] }),
      body: request.body,
    }),
    nowMs,
  )
  return { caller, token, ...found, ...(await locate(rule, request, services, found.app)) }
}

/** Of who runs the platform. Undefined: none of the caller's is. */
async function operatorsToken(
  action: ActionMask,
  caller: Caller,
  { directory, clock }: Services,
  signal: AbortSignal,
): Promise<VerifiedToken | undefined> {
  const nowMs = clock.nowMs()
  for (const { numericId, isOperator } of await directory.organizations(signal)) {
    if (isOperator !== true) continue
    const access = { action, orgId: numericId }
    if (caller.allows(access, nowMs)) return caller.require(access, nowMs)
  }
  return undefined
}

interface Found {
  readonly organization: Organization
  readonly app?: App
}

async function resolve(
  rule: AccessRule,
  request: GateRequest,
  caller: Caller,
  services: Services,
): Promise<Found> {
  const { directory } = services
  if (rule.on === 'org' || rule.on === 'newApp') {
    const slug = slugOf(rule.on === 'org' ? rule.slugFrom : 'body', request)
    const organization = await findOrganization(slug, caller, services, request.signal)
    if (organization !== undefined) return { organization }
    throw organizationNotFound(slug)
  }
  const name = nameOf(rule, request)
  const app = await directory.app(name, request.signal)
  if (app === undefined) throw appNotFound(name)
  return { organization: app.organization, app }
}

function nameOf(rule: AccessRule, { params, body, source }: GateRequest): string {
  if (rule.on === 'self') return source?.app ?? ''
  if (rule.on !== 'app' || rule.nameFrom !== 'body') return params['app'] ?? ''
  const name = (body as { app_name?: unknown } | undefined)?.app_name
  return typeof name === 'string' ? name : ''
}

function slugOf(from: 'path' | 'query' | 'body', { params, query, body }: GateRequest): string {
  const place = from === 'path' ? { org_slug: params['org'] } : from === 'query' ? query : body
  const slug = (place as { org_slug?: unknown } | undefined)?.org_slug
  if (typeof slug === 'string' && slug !== '') return slug
  throw refuse('flaps.argument_bad', 'invalid_argument: org_slug is required')
}

/** After the access was granted, so that nobody learns which ids exist in apps of others. */
async function locate(
  rule: AccessRule,
  { params, source }: GateRequest,
  { rows, recent }: Services,
  app: App | undefined,
): Promise<{ machine?: Whereabouts; volume?: Whereabouts }> {
  if (rule.on === 'machine' || rule.on === 'self') {
    const id = (rule.on === 'self' ? source?.machine : params['machine']) ?? ''
    if (!isMachineId(id)) {
      throw machineIdBad(id.slice(0, ID_CHARS_SHOWN))
    }
    const machine = rows.whereIsMachine(id) ?? recent.whereIs(id)
    if (machine === undefined || machine.appId !== app?.id) throw machineNotFound()
    return { machine }
  }
  if (rule.on === 'volume') {
    const id = params['volume'] ?? ''
    const volume = isVolumeId(id) ? (rows.whereIsVolume(id) ?? recent.whereIs(id)) : undefined
    if (volume === undefined || volume.appId !== app?.id) {
      throw refuse('flaps.not_found', 'not_found: volume not found')
    }
    return { volume }
  }
  return {}
}

const ID_CHARS_SHOWN = 40
