/**
 * A client that asks URLs over and over, each time on a new connection, and prints one JSON line a
 * request when it ended: {"url", "sentMs", "tookMs", "answer"} or {..., "error"}.
 * Run inside a node: `request-loop.ts INTERVAL_MS DEADLINE_MS HEADERS_JSON URL...`; ends at SIGTERM.
 */
import { request } from 'node:http'

const IN_FLIGHT_MAX = 256
const [intervalMs = 50, deadlineMs = 1000] = process.argv.slice(2, 4).map(Number)
const headers = JSON.parse(process.argv[4] ?? '{}') as Record<string, string>
const urls = process.argv.slice(5)
let inFlight = 0

/** One request's line, as the reader of this program's output parses it. */
export interface RequestRecord {
  readonly url: string
  /** Wall-clock time at which it was sent. */
  readonly sentMs: number
  readonly tookMs: number
  readonly answer?: string
  readonly error?: string
}

function ask(url: string): void {
  if (inFlight >= IN_FLIGHT_MAX) return
  inFlight += 1
  const sentMs = Date.now()
  const startedMs = performance.now()
  const print = (outcome: { answer: string } | { error: string }) => {
    const tookMs = Math.round((performance.now() - startedMs) * 1000) / 1000
    const record: RequestRecord = { url, sentMs, tookMs, ...outcome }
    console.log(JSON.stringify(record))
  }
  const signal = AbortSignal.timeout(deadlineMs)
  const asked = request(url, { agent: false, headers, signal }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    response.once('end', () => print(outcomeOf(response.statusCode ?? 0, text)))
  })
  asked.once('error', (error: NodeJS.ErrnoException) => print({ error: error.code ?? error.name }))
  asked.once('close', () => {
    inFlight -= 1
  })
  asked.end()
}

/** What a proxy says by itself is no answer. */
const outcomeOf = (status: number, text: string) =>
  status < 400 ? { answer: text.trim() } : { error: String(status) }

setInterval(() => {
  for (const url of urls) ask(url)
}, intervalMs)
