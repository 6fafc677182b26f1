import {
  backoffMs,
  type Clock,
  errorCode,
  type Random,
  startDeadline,
  systemClock,
  systemRandom,
} from '#base'
import { ImageError } from './errors.ts'
import { isLoopback } from './reference.ts'

export interface Waits {
  readonly clock: Clock
  readonly random: Random
  /** Longest time without a byte, from request to last byte. */
  readonly stallMs: number
  /** Tries of one request, the first included. */
  readonly attemptsMax: number
  readonly backoff: { readonly baseMs: number; readonly capMs: number }
}

/** Files of this machine do not get better by asking again. */
export const LOCAL_WAITS: Waits = {
  clock: systemClock,
  random: systemRandom,
  stallMs: 30_000,
  attemptsMax: 1,
  backoff: { baseMs: 1, capMs: 1 },
}

const REDIRECTS_MAX = 5
const RETRY_AFTER_MS_MAX = 60_000

/**
 * One GET with its redirects. Credentials go to the first origin alone: a redirect to another gets
 * none, or a storage provider would learn the registry's token. Any status is an answer.
 *
 * @param privateOrigin on a private network: plain HTTP is good enough there.
 * @throws ImageError image.insecure, image.registry_failed, image.stalled, image.registry_bad
 */
export async function exchange(
  start: URL,
  headers: Readonly<Record<string, string>>,
  waits: Waits,
  signal?: AbortSignal,
  privateOrigin?: string,
): Promise<Response> {
  const { authorization, ...open } = headers
  let url = start
  for (let hop = 0; hop <= REDIRECTS_MAX; hop += 1) {
    if (url.origin !== privateOrigin) checkScheme(url)
    const trusted = url.origin === start.origin && authorization !== undefined
    const sent = { 'accept-encoding': 'identity', ...open, ...(trusted ? { authorization } : {}) }
    const response = await get(url, sent, waits, signal)
    const location = response.headers.get('location')
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response
    await response.body?.cancel()
    if (!URL.canParse(location, url)) break
    url = new URL(location, url)
  }
  throw new ImageError('image.registry_bad', {
    what: 'the registry redirects in circles or to nowhere',
    values: { url: withoutQuery(start) },
  })
}

async function get(url: URL, headers: Record<string, string>, waits: Waits, signal?: AbortSignal) {
  using deadline = startDeadline('the registry', waits.stallMs, { signal, clock: waits.clock })
  try {
    // The deadline ends with the headers; `readBody` watches the bytes after them.
    const body = new AbortController()
    deadline.signal.addEventListener('abort', () => body.abort(deadline.signal.reason))
    signal?.addEventListener('abort', () => body.abort(signal.reason), { once: true })
    return await fetch(url, { headers, redirect: 'manual', signal: body.signal })
  } catch (cause) {
    signal?.throwIfAborted()
    if (deadline.signal.aborted) throw stalled(url, waits.stallMs)
    throw connectionFailed(url, cause)
  }
}

/**
 * The body, piece by piece, as fast as the caller takes it.
 *
 * @throws ImageError image.stalled, image.registry_failed when the connection breaks.
 */
export async function* readBody(
  response: Response,
  waits: Waits,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return
  const url = new URL(response.url)
  const reader = response.body.getReader()
  let isStalled = false
  const giveUp = () => {
    isStalled = true
    reader.cancel().catch(() => undefined) // it is broken already: read() below says so
  }
  try {
    for (;;) {
      using _stall = waits.clock.setTimer(giveUp, waits.stallMs)
      const { done, value } = await reader.read()
      signal?.throwIfAborted()
      if (isStalled) throw stalled(url, waits.stallMs)
      if (done) return
      yield value
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof ImageError) throw error
    throw connectionFailed(url, error)
  } finally {
    await reader.cancel().catch(() => undefined) // the connection may be gone, which is all we want
  }
}

/** A small body whole. @throws ImageError image.too_large, and as `readBody` */
export async function readAll(
  response: Response,
  bytesMax: number,
  waits: Waits,
  signal?: AbortSignal,
): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of readBody(response, waits, signal)) {
    bytes += piece.length
    if (bytes > bytesMax) {
      const values = { url: withoutQuery(new URL(response.url)), bytesMax }
      throw new ImageError('image.too_large', { what: 'the answer is too large', values })
    }
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** @throws ImageError for every status but 200 and 206. */
export async function demandSuccess(response: Response, asked: string): Promise<void> {
  const { status } = response
  if (status === 200 || status === 206) return
  await response.body?.cancel()
  const values = { asked, status }
  if (status === 401) {
    throw new ImageError('image.unauthorized', {
      what: 'the registry does not accept these credentials',
      values,
      fix: 'log in, and check that the image is spelled right: many registries answer so for both',
    })
  }
  if (status === 403)
    throw new ImageError('image.forbidden', { what: 'the registry refuses', values })
  if (status === 404) {
    const fix = 'check the name and the tag'
    throw new ImageError('image.not_found', { what: 'the registry has no such image', values, fix })
  }
  if (status === 429) {
    const what = 'the registry asks for fewer requests'
    throw new ImageError('image.rate_limited', {
      what,
      values: { ...values, ...retryAfter(response) },
    })
  }
  const code = status >= 500 || status === 408 ? 'image.registry_failed' : 'image.registry_bad'
  const what = code === 'image.registry_bad' ? 'the answer makes no sense' : 'the registry fails'
  throw new ImageError(code, { what, values: { ...values, ...retryAfter(response) } })
}

/** Tries again while errors are transient, as long as Retry-After asks, else with full jitter. */
export async function retryTransient<T>(
  call: (attempt: number) => Promise<T>,
  waits: Waits,
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call(attempt)
    } catch (error) {
      signal?.throwIfAborted()
      if (!isTransient(error) || attempt + 1 >= waits.attemptsMax) throw error
      const asked = error.values['retryAfterMs']
      const jitterMs = backoffMs(attempt, waits.backoff, waits.random)
      await waits.clock.sleep(jitterMs + (typeof asked === 'number' ? asked : 0), signal)
    }
  }
}

export const isTransient = (error: unknown): error is ImageError =>
  error instanceof ImageError && error.traits.transient === true

/** Seconds or an HTTP date. Source: RFC 9110, section 10.2.3. */
function retryAfter(response: Response): { retryAfterMs?: number } {
  const text = response.headers.get('retry-after')
  if (text === null) return {}
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? {} : { retryAfterMs: Math.min(RETRY_AFTER_MS_MAX, Math.max(0, ms)) }
}

function checkScheme(url: URL): void {
  if (url.protocol === 'https:') return
  if (url.protocol === 'http:' && isLoopback(url.host)) return
  throw new ImageError('image.insecure', {
    what: 'registries are asked by HTTPS only',
    values: { url: withoutQuery(url) },
    fix: 'give the registry a certificate; plain HTTP is for this machine itself',
  })
}

/** Signed URLs carry secrets in their query. */
const withoutQuery = (url: URL) => `${url.origin}${url.pathname}`

const stalled = (url: URL, stallMs: number) =>
  new ImageError('image.stalled', {
    what: 'the registry stopped sending',
    values: { url: withoutQuery(url), stallMs },
  })

const connectionFailed = (url: URL, cause: unknown) =>
  new ImageError('image.registry_failed', {
    what: 'the connection to the registry failed',
    values: {
      url: withoutQuery(url),
      why: errorCode((cause as Error).cause) ?? errorCode(cause) ?? String(cause),
    },
    cause,
  })
