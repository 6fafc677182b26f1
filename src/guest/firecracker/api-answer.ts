import type { ApiCall } from './api-call.ts'
import { FirecrackerError } from './errors.ts'

/**
 * Reads an answer: the value of a 200, undefined for a 204. Errors of the API come as JSON with
 * `fault_message`. Errors of its HTTP layer come as something near JSON, with a raw newline within a
 * text; a strict parser refuses that, so it is shown as it came.
 *
 * @throws FirecrackerError guest.vmm_refused, guest.vmm_answer_bad.
 */
export function readAnswer(call: ApiCall, status: number, body: string): unknown {
  if (status === 204 && body === '') return undefined
  const value = parseJson(body)
  if (status === 200 && value !== undefined) return value
  if (status < 400 || status > 499) {
    throw new FirecrackerError('guest.vmm_answer_bad', {
      what: 'not an answer of the Firecracker API',
      values: { method: call.method, path: call.path, status, body },
    })
  }
  throw new FirecrackerError('guest.vmm_refused', {
    what: 'Firecracker refused a request',
    values: { method: call.method, path: call.path, status, said: faultOf(value) ?? body },
  })
}

/** True when the connection must not be used again: what follows may be read as another request. */
export function isConnectionSpoilt(status: number, body: string): boolean {
  return status >= 400 && faultOf(parseJson(body)) === undefined
}

function faultOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('fault_message' in value)) return undefined
  return typeof value.fault_message === 'string' ? value.fault_message : undefined
}

/** JSON has no undefined, so that stands for text that is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
