import { ApiError, errorOfAnswer } from './errors.ts'
import type { Received } from './exchange.ts'

const TEXT_CHARS_MAX = 300

/** What a call was answered; `T` is believed of it. @throws ApiError when it is no success */
export function readAnswer<T>(
  method: string,
  path: string,
  { status, headers, body }: Received,
): T {
  const text = body.toString()
  const json = parseJson(text)
  if (status >= 200 && status < 300) {
    if (json === undefined && text !== '') throw answerBad(method, path, status, text)
    return json as T
  }
  const told = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>
  const { error, status: label, fix } = told
  throw errorOfAnswer({
    status,
    method,
    path,
    text: typeof error === 'string' ? error : text.slice(0, TEXT_CHARS_MAX) || `HTTP ${status}`,
    label: typeof label === 'string' ? label : undefined,
    requestId: headers['fly-request-id']?.toString(),
    fix: typeof fix === 'string' ? fix : undefined,
  })
}

const answerBad = (method: string, path: string, status: number, text: string) =>
  new ApiError('api.answer_bad', {
    what: 'what answered is no Machines API',
    values: { call: `${method} ${path}`, status, begins: text.slice(0, 60) },
    fix: 'look at the address of the API (--api or GODWIT_API)',
  })

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // told apart by the caller
  }
}
