import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { errorCode } from '#base'
import { type MetricFamily, parseMetrics } from '#observe'

/** Where a machine serves figures of its own: `metrics` of its configuration. */
export interface AppMetrics {
  readonly port: number
  readonly path: string
  readonly isTls: boolean
}

/** As documented. */
const BODY_BYTES_MAX = 16 * 2 ** 20

/** Undefined: it says nothing of metrics, or nothing that could be asked. */
export function appMetricsOf(config: Readonly<Record<string, unknown>>): AppMetrics | undefined {
  const { metrics } = config
  if (typeof metrics !== 'object' || metrics === null) return undefined
  const { port, path, https } = metrics as Readonly<Record<string, unknown>>
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return undefined
  }
  const given = typeof path === 'string' && path !== '' ? path : '/metrics'
  const isClean = /^[\x21-\x7e]{1,1024}$/.test(given)
  return {
    port,
    path: isClean ? `/${given.replace(/^\/+/, '')}` : '/metrics',
    isTls: https === true,
  }
}

/**
 * Asks a machine once, at the first of its addresses that takes the connection. No redirect is followed, for it may
 * lead anywhere.
 *
 * @throws ObserveError observe.metrics_bad; what the connection says; the signal's reason
 */
export async function scrapeApp(
  metrics: AppMetrics,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<MetricFamily[]> {
  let last: unknown = new Error('the machine has no address')
  for (const address of addresses) {
    signal.throwIfAborted()
    try {
      return await parseMetrics(await bodyFrom(metrics, address, signal), { signal })
    } catch (error) {
      if (!['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH'].includes(errorCode(error) ?? '')) {
        throw error
      }
      last = error
    }
  }
  throw last
}

/** Prometheus' text format alone: what else there is to choose from needs other parsers. */
const ACCEPT = 'text/plain;version=0.0.4'

async function bodyFrom(
  { port, path, isTls }: AppMetrics,
  address: string,
  signal: AbortSignal,
): Promise<string> {
  const options: RequestOptions = {
    ...{ host: address, port, path, signal, agent: false },
    headers: { accept: ACCEPT, 'user-agent': 'Godwit-Metrics/1', 'accept-encoding': 'identity' },
  }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    // It is the machine by its address: no certificate could say so.
    const request = isTls
      ? httpsRequest({ ...options, rejectUnauthorized: false })
      : httpRequest(options)
    request.once('response', resolve).once('error', reject).end()
  })
  try {
    const { statusCode = 0 } = response
    if (statusCode !== 200) throw new Error(`it answered with status ${statusCode}`)
    const parts: Buffer[] = []
    let bytes = 0
    for await (const part of response as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > BODY_BYTES_MAX)
        throw new Error(`its answer has more than ${BODY_BYTES_MAX} bytes`)
      parts.push(part)
    }
    return Buffer.concat(parts).toString()
  } finally {
    response.destroy()
  }
}
