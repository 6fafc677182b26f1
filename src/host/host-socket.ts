/**
 * How `godwit host status` and `restart` talk to the supervisor: HTTP on a socket file that only root
 * may open.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { dirname } from 'node:path'
import {
  type ErrorJson,
  errorCode,
  GodwitError,
  httpStatusOf,
  type Log,
  pollUntil,
  startDeadline,
} from '#base'
import type { Renewed } from './certificates/renew-certificates.ts'
import { HostError } from './errors.ts'
import type { HostSupervisor, PartStatus } from './host-supervisor.ts'
import type { DerivedPart } from './parts/derived-part.ts'
import { preparePart } from './prepare-part.ts'

/** A server that is very busy is slow: run-host.ts gives a part three minutes to start, and some to end before. */
const CHANGE_MS = 230_000
const ANSWER_BYTES_MAX = 1 << 20
/** Parts may drain so long before the supervisor is replaced. */
const SETTLE_MS = 60_000
const RENEW_MS = 60_000
/** Tells this program from the one before it in the same process. */
const PROGRAM = randomUUID()

/** What a supervisor can do beside keeping parts. */
export interface HostCalls {
  /** Gives this process to the program that is installed now, with the parts that are left to it. */
  readonly replaceProgram?: () => void
  /** Asks a gateway what to trust and to show. */
  readonly renew?: (signal: AbortSignal) => Promise<Renewed>
}

/**
 * Serves the supervisor until disposed.
 *
 * @throws HostError host.running
 */
export async function serveHostSocket(
  supervisor: HostSupervisor,
  path: string,
  log: Log,
  calls: HostCalls = {},
): Promise<AsyncDisposable> {
  const { replaceProgram } = calls
  await refuseWhileRunning(path)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  rmSync(path, { force: true })
  const server = createServer((asked, response) => {
    handle(supervisor, asked, calls).then(
      (answer) => {
        const isLast = asked.url === REPLACE && replaceProgram !== undefined
        send(response, 200, answer, isLast ? replaceProgram : undefined)
      },
      (error: unknown) => {
        if (!(error instanceof GodwitError)) log.error({ err: error }, 'a request failed')
        send(response, httpStatusOf(error), errorAnswer(error))
      },
    )
  })
  await listen(server, path)
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      rmSync(path, { force: true })
    },
  }
}

async function handle(
  supervisor: HostSupervisor,
  asked: IncomingMessage,
  { renew }: HostCalls,
): Promise<unknown> {
  const call = `${asked.method} ${asked.url}`
  const body = await bodyOf(asked)
  if (call === 'GET /status') return supervisor.status()
  if (call === 'POST /upgrade') return await upgrade(supervisor, body)
  if (call === `POST ${RENEW}` && renew !== undefined) {
    using deadline = startDeadline('the answer of a gateway', RENEW_MS)
    return await renew(deadline.signal)
  }
  if (call === 'GET /program') return { program: PROGRAM }
  if (call === `POST ${REPLACE}`) {
    await supervisor.leave(SETTLE_MS)
    return { program: PROGRAM }
  }
  const [, verb, part = ''] = /^POST \/(restart|stop|start)\/([A-Za-z0-9-]+)$/.exec(call) ?? []
  using deadline = startDeadline(`${verb} of ${part}`, CHANGE_MS)
  if (verb === 'restart') await supervisor.restart(part, deadline.signal)
  else if (verb === 'stop') await supervisor.stopPart(part, deadline.signal)
  else if (verb === 'start') await supervisor.startPart(part, deadline.signal)
  else throw new HostError('host.part_unknown', { what: 'no such call', values: { call } })
  return supervisor.status()
}

/** The definition is our own program's: only root may open this socket. */
async function upgrade(supervisor: HostSupervisor, body: string): Promise<UpgradeAnswer> {
  const { part, readyMs } = JSON.parse(body) as UpgradeRequest
  using deadline = startDeadline(`the upgrade of ${part.name}`, Math.min(readyMs, CHANGE_MS))
  preparePart(part)
  const how = await supervisor.upgrade(part, deadline.signal)
  return { how, parts: supervisor.status() }
}

async function bodyOf(asked: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of asked as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > ANSWER_BYTES_MAX)
      throw new HostError('host.answer_bad', { what: 'too much was sent' })
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString()
}

/** What runs on this host. @throws HostError host.away */
export const hostStatus = (path: string): Promise<PartStatus[]> => ask(path, 'GET', '/status')

export type PartVerb = 'restart' | 'stop' | 'start'

/** Resolves when it is done: when the part is ready again, or gone. @throws HostError host.away, host.part_unknown */
export const changePart = (path: string, verb: PartVerb, part: string): Promise<PartStatus[]> =>
  ask(path, 'POST', `/${verb}/${encodeURIComponent(part)}`)

export interface UpgradeAnswer {
  readonly how: 'restarted' | 'handed_over'
  readonly parts: PartStatus[]
}

/** Resolves when the part serves as it is defined here. @throws HostError host.away, host.answer_bad */
export const upgradePart = (
  path: string,
  part: DerivedPart,
  readyMs = CHANGE_MS,
): Promise<UpgradeAnswer> =>
  ask(path, 'POST', '/upgrade', JSON.stringify({ part, readyMs } satisfies UpgradeRequest))

const REPLACE = '/replace'
const RENEW = '/renew'

/** Has the host ask a gateway what to trust and to show. @throws HostError host.away, host.answer_bad, what the gateway says */
export const renewHost = (path: string): Promise<Renewed> => ask(path, 'POST', RENEW)

/**
 * Gives the supervisor's process to the program that is installed now; the parts run on. Resolves when that one answers.
 *
 * @throws HostError host.upgrade_failed, host.away
 */
export async function replaceSupervisor(path: string, readyMs = CHANGE_MS): Promise<void> {
  type Answer = { readonly program: string }
  const { program: before } = await ask<Answer>(path, 'POST', REPLACE)
  const isOther = async () => {
    try {
      return (await ask<Answer>(path, 'GET', '/program')).program !== before
    } catch (error) {
      if (errorCode(error) === 'host.away') return false
      throw error
    }
  }
  await pollUntil('the new supervisor', isOther, { deadlineMs: readyMs }).catch((cause) => {
    throw new HostError('host.upgrade_failed', {
      what: 'the upgrade ended: the new supervisor does not answer; parts and machines run on without one',
      values: { socket: path },
      fix: 'its log says why (journalctl -u godwit); then: systemctl restart godwit',
      cause,
    })
  })
}

/** Codes that its callers know. */
const PASSED_ON = ['host.part_unknown', 'host.gateway_away', 'host.renewal_refused'] as const

interface UpgradeRequest {
  readonly part: DerivedPart
  readonly readyMs: number
}

async function refuseWhileRunning(path: string): Promise<void> {
  try {
    await hostStatus(path)
  } catch (error) {
    if (errorCode(error) === 'host.away') return
    throw error
  }
  throw new HostError('host.running', {
    what: 'a supervisor runs the parts of this host already',
    values: { socket: path },
    fix: 'look at it with: godwit host status',
  })
}

function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(0o077)
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  }).finally(() => process.umask(before))
}

function send(
  response: ServerResponse,
  status: number,
  answer: unknown,
  afterwards?: () => void,
): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(answer), afterwards)
}

const errorAnswer = (error: unknown) =>
  error instanceof GodwitError
    ? error.toJSON()
    : { code: 'internal', what: error instanceof Error ? error.message : String(error) }

async function ask<T>(socketPath: string, method: string, path: string, sent = ''): Promise<T> {
  using deadline = startDeadline('the answer of the supervisor', CHANGE_MS + 5_000)
  const { status, body } = await exchange({
    socketPath,
    method,
    path,
    signal: deadline.signal,
    sent,
  })
  const answer = JSON.parse(body) as T & Partial<ErrorJson>
  if (status === 200) return answer
  const code = PASSED_ON.find((one) => one === answer.code) ?? 'host.answer_bad'
  throw new HostError(code, {
    what: answer.what ?? `the supervisor answered ${status}`,
    values: { ...answer.values },
    ...(answer.fix === undefined ? {} : { fix: answer.fix }),
  })
}

function exchange({
  sent,
  ...options
}: {
  readonly sent: string
  readonly socketPath: string
  readonly method: string
  readonly path: string
  readonly signal: AbortSignal
}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...options, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => {
        body += piece
        if (body.length > ANSWER_BYTES_MAX) response.destroy()
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', reject)
    })
    asking.on('error', (cause) => reject(away(options.socketPath, cause)))
    asking.end(sent)
  })
}

const away = (socket: string, cause: unknown) =>
  new HostError('host.away', {
    what: 'no supervisor answers',
    values: { socket, why: errorCode(cause) },
    fix: 'start it with: godwit host run',
    cause,
  })
