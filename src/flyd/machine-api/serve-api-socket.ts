import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { errorCode, httpStatusOf, type Log, unlessAborted } from '#base'
import type { Agent } from '#guest'
import { refuse } from '../errors.ts'

/** In every machine. Source: Fly.io's machine runtime environment. */
export const API_SOCKET = '/.fly/api'

/** What somebody in a machine asks of the platform. */
export interface MachineRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly leaseNonce: string | undefined
  /** Empty: none. */
  readonly body: string
}

export interface MachineAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Answers as the API does to the machine itself. @throws GodwitError: it could not be asked */
export type AskApi = (
  machine: string,
  request: MachineRequest,
  signal: AbortSignal,
) => Promise<MachineAnswer>

/** Of one machine at once; who comes later waits in the machine. */
const CONNECTIONS_MAX = 8
const BODY_BYTES_MAX = 256 * 1024
/** One request a connection: a wait may take a minute of it. */
const CONNECTION_MS_MAX = 90_000
const DAY_MS = 86_400_000

/**
 * The API on a unix socket in the machine, for whoever runs there: no token, and the rights of the machine.
 * Ends with the session or the signal; never rejects.
 */
export async function serveApiSocket(
  {
    machine,
    agent,
    signal,
  }: { machine: string; agent: Pick<Agent, 'accept'>; signal: AbortSignal },
  { ask, log }: { ask: AskApi; log: Log },
): Promise<void> {
  const ending = new AbortController()
  const over = AbortSignal.any([signal, ending.signal])
  const server = createServer((request, response) => {
    void answer(request, response, (asked) => ask(machine, asked, over), log)
  })
  const serving = new Set<Promise<void>>()
  try {
    for (;;) {
      if (serving.size >= CONNECTIONS_MAX) await unlessAborted(Promise.any(serving), over)
      const one = serveOne(server, await nextConnection(agent, over))
      serving.add(one)
      void one.then(() => serving.delete(one))
    }
  } catch (err) {
    const isOver = over.aborted || errorCode(err) === 'guest.channel_lost'
    if (!isOver) log.warn({ err, machine }, `${API_SOCKET} of a machine is not served`)
  } finally {
    ending.abort(new Error('the session with the machine is over'))
  }
}

async function nextConnection(agent: Pick<Agent, 'accept'>, signal: AbortSignal): Promise<Duplex> {
  for (;;) {
    try {
      return await agent.accept(API_SOCKET, { signal, deadlineMs: DAY_MS })
    } catch (error) {
      if (errorCode(error) !== 'base.deadline_exceeded') throw error
    }
  }
}

/** Until it is closed, for whatever reason. */
async function serveOne(server: Server, connection: Duplex): Promise<void> {
  const timer = setTimeout(() => connection.destroy(), CONNECTION_MS_MAX)
  const { promise, resolve } = Promise.withResolvers<void>()
  connection.once('close', resolve)
  connection.on('error', resolve) // the machine's end of it went away
  server.emit('connection', connection)
  await promise
  clearTimeout(timer)
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  ask: (request: MachineRequest) => Promise<MachineAnswer>,
  log: Log,
): Promise<void> {
  response.shouldKeepAlive = false
  try {
    const { method = 'GET', url: path = '/' } = request
    const nonce = request.headers['fly-machine-lease-nonce']
    const leaseNonce = typeof nonce === 'string' ? nonce : undefined
    const { status, headers, body } = await ask({
      ...{ method, path, leaseNonce, body: await bodyOf(request) },
    })
    response.writeHead(status, headers).end(body)
  } catch (err) {
    const status = httpStatusOf(err)
    if (status >= 500) log.warn({ err }, 'a machine could not be answered')
    const text = (err as { what?: string }).what ?? 'internal: internal error'
    const error = JSON.stringify({ error: text })
    response.writeHead(status, { 'content-type': 'application/json' }).end(error)
  }
}

/** @throws FlydError flyd.argument_bad */
async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > BODY_BYTES_MAX)
      throw refuse('flyd.argument_bad', 'invalid_argument: body too large')
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}
