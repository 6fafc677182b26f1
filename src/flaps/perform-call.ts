import type { Log } from '#base'
import type { Answer } from './answer.ts'
import { Call } from './call.ts'
import { type Caller, ownerOf } from './caller.ts'
import type { Endpoint } from './endpoint.ts'
import { admit } from './gate.ts'
import { readBody } from './json-body.ts'
import type { MachineSource } from './machine-api/machine-source.ts'
import { type RawQuery, readQuery } from './query-string.ts'
import type { RateLimits } from './rate-limits.ts'
import type { Services } from './services.ts'

/** A request for a call, as it came. */
export interface AskedCall {
  readonly params: Readonly<Record<string, string>>
  readonly query: RawQuery
  readonly body: unknown
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly requestId: string
  readonly signal: AbortSignal
  readonly source?: MachineSource | undefined
}

export interface CallSurroundings {
  readonly services: Services
  readonly limits: Pick<RateLimits, 'spend'>
  readonly log: Log
}

/** What is known of one request so far, for those who write of it afterwards. */
export interface Progress {
  caller?: Caller
  orgSlug?: string
  appName?: string
  owner?: string
}

/**
 * From what was asked to the answer: query and body, target and access, rate, work.
 *
 * @param progress its caller is who asks; the rest is found out here
 * @throws FlapsError, and what the work throws
 */
export async function performCall(
  endpoint: Endpoint,
  asked: AskedCall,
  progress: Progress,
  { services, limits, log }: CallSurroundings,
): Promise<Answer> {
  const { params, signal, source, headers, requestId, query: rawQuery } = asked
  const query = endpoint.query === undefined ? {} : readQuery(endpoint.query, rawQuery)
  const body = bodyOf(endpoint, asked.body)
  const read = { params, query, body, signal, source }
  const admitted = await admit(endpoint, read, progress.caller, services)
  if (admitted.token !== undefined) progress.owner = ownerOf(admitted.token)
  const slug = (admitted.organization ?? admitted.app?.organization)?.slug
  if (slug !== undefined) progress.orgSlug = slug
  if (admitted.app !== undefined) progress.appName = admitted.app.name
  limits.spend(endpoint.limit, endpoint.id, targetOf(endpoint, params, progress))
  const call = new Call({
    ...read,
    ...{ services, admitted, rawQuery, headers, requestId },
    log: log.child({ requestId, operation: endpoint.id }),
  })
  return await endpoint.handle(call)
}

function bodyOf({ id, body: schema, nullIs = 'absent' }: Endpoint, body: unknown) {
  return schema === undefined ? {} : readBody(schema, body, { call: id, nullIs })
}

/** What a rate is counted by: the machine, else the app, else who calls. */
function targetOf(
  { limit }: Endpoint,
  params: Readonly<Record<string, string>>,
  { owner = 'anyone', appName }: Progress,
): string {
  if (limit === 'deleteApp' || limit === 'query') return owner
  return params['machine'] ?? params['volume'] ?? params['app'] ?? appName ?? owner
}
