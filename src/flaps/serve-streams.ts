import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { startDeadline } from '#base'
import { joinDuplex } from '#ssh'
import { answerOfError, internalError } from './answer.ts'
import { callerOf, ownerOf } from './caller.ts'
import { connectQuery, machineConnect, STREAM_PROTOCOL } from './endpoints/machine-connect.ts'
import { refuse } from './errors.ts'
import { admit } from './gate.ts'
import type { Named } from './next-step.ts'
import { readQuery } from './query-string.ts'
import { requestIds } from './request-id.ts'
import type { Around } from './route.ts'

const CONNECT_MS_MAX = 20_000
const STREAMS_MAX = 4_096

/** Other upgrades are left alone: the request is answered as if nobody had offered. */
export const isStream = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === STREAM_PROTOCOL

/**
 * Joins clients with ports of machines, over an HTTP/1.1 upgrade (RFC 9110, section 7.8). The end of the
 * server ends all of them.
 */
export function serveStreams(fastify: FastifyInstance, around: Around): void {
  const open = new Set<Duplex>()
  const newId = requestIds(around.services)
  fastify.addHook('preClose', async () => {
    for (const socket of open) socket.destroy()
  })
  fastify.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    open.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => open.delete(socket))
    if (head.length > 0) socket.unshift(head)
    void new StreamCall(request, socket, around, newId()).run(open.size)
  })
}

const PATH = /^\/v1\/apps\/([^/]+)\/machines\/([^/]+)\/connect$/

class StreamCall {
  readonly #request: IncomingMessage
  readonly #socket: Duplex
  readonly #around: Around
  readonly #requestId: string
  #owner: string | undefined
  #orgSlug: string | undefined
  #appName: string | undefined
  #named: Named = {}

  constructor(request: IncomingMessage, socket: Duplex, around: Around, requestId: string) {
    this.#request = request
    this.#socket = socket
    this.#around = around
    this.#requestId = requestId
  }

  /** Never rejects: what goes wrong is the answer. */
  async run(openCount: number): Promise<void> {
    const { metrics, services, log } = this.#around
    const startedMs = services.clock.monotonicMs()
    metrics.begin()
    let status = 101
    try {
      if (openCount > STREAMS_MAX)
        throw refuse('flaps.host_unreached', 'unavailable: too many streams')
      const stream = await this.#connect()
      if (this.#socket.destroyed) return void stream.destroy()
      const fields = `Connection: Upgrade\r\nUpgrade: ${STREAM_PROTOCOL}\r\n`
      this.#socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`)
      joinDuplex(this.#socket, stream)
    } catch (error) {
      const answer = answerOfError(error, this.#named) ?? internalError
      status = answer.status
      if (status >= 500) log.error({ err: error, requestId: this.#requestId }, 'a stream failed')
      this.#refuse(status, JSON.stringify(answer.body))
    } finally {
      const seconds = (services.clock.monotonicMs() - startedMs) / 1000
      metrics.end(machineConnect.id, { status, seconds })
      if (this.#owner !== undefined) this.#record(status)
    }
  }

  async #connect(): Promise<Duplex> {
    const { services } = this.#around
    using deadline = startDeadline('the connection to the machine', CONNECT_MS_MAX, {
      clock: services.clock,
    })
    const { signal } = deadline
    const url = new URL(this.#request.url ?? '', 'http://flaps')
    const [, app = '', machine = ''] = PATH.exec(url.pathname) ?? []
    if (app === '' || this.#request.method !== 'GET') {
      throw refuse('flaps.not_found', 'not_found: no stream by this name')
    }
    const caller = callerOf(this.#request, services.directory.verifier)
    this.#owner = caller.tokens[0] && ownerOf(caller.tokens[0])
    const raw = Object.fromEntries(url.searchParams)
    const query = readQuery(connectQuery, raw) as { port: number }
    const params = { app, machine } // names and ids have no letters that would be escaped
    this.#named = params
    const admitted = await admit(
      machineConnect,
      { params, query, body: {}, signal },
      caller,
      services,
    )
    if (admitted.token !== undefined) this.#owner = ownerOf(admitted.token)
    this.#orgSlug = admitted.app?.organization.slug
    this.#appName = admitted.app?.name
    const where = admitted.machine
    if (where === undefined) throw refuse('flaps.not_found', 'machine not found')
    return await services.fleet.host(where.hostId).connect(where.id, { port: query.port }, signal)
  }

  #refuse(status: number, body: string): void {
    const lines = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      `Fly-Request-Id: ${this.#requestId}`,
    ]
    this.#socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
  }

  #record(status: number): void {
    const { directory, clock } = this.#around.services
    directory.record({
      atMs: clock.nowMs(),
      requestId: this.#requestId,
      operation: machineConnect.id,
      path: this.#request.url ?? '',
      owner: this.#owner,
      orgSlug: this.#orgSlug,
      appName: this.#appName,
      status,
    })
  }
}
