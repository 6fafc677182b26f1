import { Value } from 'typebox/value'
import { type ApiRoute, apiRoutes } from './api-schema.ts'
import { FirecrackerError } from './errors.ts'

export interface ApiCall {
  readonly method: 'GET' | 'PUT' | 'PATCH'
  readonly path: string
  readonly body?: Readonly<Record<string, unknown>>
}

/** Firecracker's own limit of a body, as it is set unless asked otherwise. */
export const BODY_BYTES_MAX = 51_200

/** The route of a request that has a body; undefined for one that Godwit does not send. */
export function routeOf(method: string, path: string): ApiRoute | undefined {
  const [, first = '', second] = path.split('/')
  return (
    apiRoutes[`${method} ${path}`] ??
    (second === undefined ? undefined : apiRoutes[`${method} /${first}/{id}`])
  )
}

/**
 * The bytes to send for a call; undefined for a GET, which must have none.
 *
 * @throws FirecrackerError guest.vmm_call_bad. Nothing of it may be sent: after a body that is too
 *   large Firecracker reads the rest of it as further requests.
 */
export function encodeCall({ method, path, body }: ApiCall): Buffer | undefined {
  if (method === 'GET') {
    if (body !== undefined) throw badCall(method, path, 'a GET has no body')
    return undefined
  }
  const route = routeOf(method, path)
  if (route === undefined) throw badCall(method, path, 'no such request')
  const problem = Value.Errors(route.body, body ?? null)[0]
  if (problem !== undefined) {
    throw badCall(method, path, `${problem.instancePath || '/'} ${problem.message}`)
  }
  if (route.idField !== undefined && body?.[route.idField] !== path.split('/')[2]) {
    throw badCall(method, path, `${route.idField} is not the name in the path`)
  }
  const bytes = Buffer.from(JSON.stringify(body))
  if (bytes.length > BODY_BYTES_MAX) throw badCall(method, path, 'the body is too large')
  return bytes
}

function badCall(method: string, path: string, problem: string): FirecrackerError {
  return new FirecrackerError('guest.vmm_call_bad', {
    what: 'not a request of the Firecracker API',
    values: { method, path, problem },
  })
}
