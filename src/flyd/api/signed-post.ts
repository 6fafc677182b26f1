import { errorCode, newMachineId, systemClock, systemRandom } from '#base'
import { refuse } from '../errors.ts'
import { REQUEST_ID, SIGNATURE, SIGNED_AT } from './api-headers.ts'
import type { ClusterKey } from './cluster-key.ts'
import { errorOfBody } from './errors.ts'

/** What a signed request says of itself, for `ClusterKey.check`. */
export const signedHeaders = {
  requestId: REQUEST_ID,
  signature: SIGNATURE,
  signedAt: SIGNED_AT,
} as const

/** What is signed of an answer: that it is one, and to what. */
export const answerPath = (path: string): string => `${path} answer`

/**
 * One request to another host, signed with the cluster's key, as its answer is.
 *
 * @returns `result` of the answer
 * @throws FlydError flyd.host_unreached, or what the answer says; HostApiError host.denied
 */
export async function signedPost(
  url: URL,
  body: string,
  { key, signal }: { key: ClusterKey; signal: AbortSignal },
): Promise<{ readonly result: unknown; readonly requestId: string }> {
  const atMs = systemClock.nowMs()
  const requestId = newMachineId(systemRandom)
  const signature = key.sign({ atMs, path: url.pathname, requestId, body })
  let response: Response
  try {
    const headers = { [REQUEST_ID]: requestId, [SIGNED_AT]: String(atMs), [SIGNATURE]: signature }
    response = await fetch(url, { method: 'POST', body, headers, signal })
  } catch (error) {
    signal.throwIfAborted()
    const why = errorCode((error as Error).cause) ?? String(error)
    throw refuse('flyd.host_unreached', `unavailable: ${url.host} cannot be reached: ${why}`, error)
  }
  const text = await response.text()
  if (!response.ok) throw errorOfBody(errorIn(text), url.host)
  const signed = {
    atMs: Number(response.headers.get(SIGNED_AT)),
    path: answerPath(url.pathname),
    requestId,
    body: text,
  }
  key.check(signed, response.headers.get(SIGNATURE) ?? '', systemClock.nowMs())
  return { result: (JSON.parse(text) as { result?: unknown }).result, requestId }
}

/** What is no JSON did not come from a host. */
function errorIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { error?: unknown }).error ?? {}
  } catch {
    return {} // as an answer without an error in it
  }
}
