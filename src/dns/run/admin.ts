import { rmSync } from 'node:fs'
import { createServer, request, type ServerResponse } from 'node:http'
import { errorCode, startDeadline } from '#base'
import { DnsError } from '../errors.ts'
import type { ExplainQuestion, Explanation } from './explain.ts'

const ANSWER_MS = 10_000
const ANSWER_BYTES_MAX = 16 << 20

/**
 * The admin socket: HTTP on a Unix socket that its owner alone may open. `GET /query?name=N&type=T[&as=A]` gives
 * an `Explanation`, or 400 with `what` and `fix`. @throws what the system says of the path
 */
export async function serveAdmin(
  path: string,
  explain: (question: ExplainQuestion) => Explanation,
): Promise<AsyncDisposable> {
  rmSync(path, { force: true }) // of a process that was killed
  const server = createServer((asked, response) => {
    const { pathname, searchParams } = new URL(asked.url ?? '/', 'http://dns')
    if (pathname !== '/query') return send(response, 404, { what: 'no such view' })
    try {
      const question = {
        name: searchParams.get('name') ?? '',
        type: searchParams.get('type') ?? 'AAAA',
        as: searchParams.get('as') ?? undefined,
      }
      send(response, 200, explain(question))
    } catch (error) {
      if (!(error instanceof DnsError)) return send(response, 500, { what: String(error) })
      send(response, 400, { what: error.what, values: error.values, fix: error.fix })
    }
  })
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, resolve)
    })
  } finally {
    process.umask(mask)
  }
  return {
    [Symbol.asyncDispose]() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

/** @throws DnsError dns.admin_away, dns.query_bad; BaseError base.deadline_exceeded */
export async function askAdmin(
  socketPath: string,
  question: ExplainQuestion,
): Promise<Explanation> {
  using deadline = startDeadline('the answer of the resolver', ANSWER_MS)
  const { name, type, as } = question
  const query = new URLSearchParams({ name, type, ...(as === undefined ? {} : { as }) })
  const { status, text } = await get(socketPath, `/query?${query}`, deadline.signal)
  const body = JSON.parse(text)
  if (status === 200) return body
  throw new DnsError('dns.query_bad', { what: body.what, values: body.values, fix: body.fix })
}

function get(socketPath: string, path: string, signal: AbortSignal) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(signal.aborted ? signal.reason : away(socketPath, cause))
    const asked = request({ socketPath, path, signal }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        if (text.length > ANSWER_BYTES_MAX) asked.destroy(new Error('the answer has no end'))
      })
      response.on('error', fail)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    asked.on('error', fail)
    asked.end()
  })
}

const away = (path: string, cause: unknown): DnsError =>
  new DnsError('dns.admin_away', {
    what: 'no resolver answers on the admin socket',
    values: { path, why: errorCode(cause) ?? String(cause) },
    fix: 'start it with godwit dns run, or name its socket with --admin',
    cause,
  })
