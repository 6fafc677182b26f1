import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Clock, type Log, startDeadline, systemClock } from '#base'
import { joinDuplex } from '#ssh'
import { refuse } from '../errors.ts'
import type { MachineHost } from '../host.ts'
import { REQUEST_ID, SIGNATURE, SIGNED_AT } from './api-headers.ts'
import type { ClusterKey } from './cluster-key.ts'
import { bodyOfError } from './errors.ts'

/** What the `Upgrade` header of a request for a stream says. */
export const STREAM_PROTOCOL = 'godwit-tcp'

export const streamPath = (machine: string, port: number) => `/v1/connect/${machine}/${port}`

export const isStream = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade === STREAM_PROTOCOL

const PATH = /^\/v1\/connect\/([0-9a-f]{14})\/(\d{1,5})$/
const CONNECT_MS_MAX = 20_000
const STREAMS_MAX = 4_096

export interface StreamServerOptions {
  readonly host: MachineHost
  readonly key: ClusterKey
  readonly log: Log
  readonly clock?: Clock
  /** Told of each answer, for figures. */
  readonly answered?: (name: string, status: number, ms: number) => void
}

/** Joins callers on the backhaul with ports of this host's machines: `GET /v1/connect/<machine>/<port>`, upgraded. */
export class StreamServer {
  readonly #options: StreamServerOptions
  readonly #clock: Clock
  readonly #open = new Set<Duplex>()

  constructor(options: StreamServerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** All of them, at once: who speaks over one begins another. */
  end(): void {
    for (const socket of this.#open) socket.destroy()
  }

  /** Never rejects: whatever comes in, this process lives on. */
  async serve(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const startedMs = this.#clock.monotonicMs()
    this.#open.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#open.delete(socket))
    if (head.length > 0) socket.unshift(head)
    let status = 101
    try {
      const stream = await this.#connect(request)
      if (socket.destroyed) return void stream.destroy()
      const fields = `Connection: Upgrade\r\nUpgrade: ${STREAM_PROTOCOL}\r\n`
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`)
      joinDuplex(socket, stream)
    } catch (error) {
      const body = bodyOfError(error)
      status = body.status
      if (status >= 500) this.#options.log.error({ err: error }, 'a stream failed')
      const text = JSON.stringify({ error: body })
      const start = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\n`
      socket.end(`${start}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
    } finally {
      this.#options.answered?.('connect', status, this.#clock.monotonicMs() - startedMs)
    }
  }

  async #connect({ url = '', headers }: IncomingMessage): Promise<Duplex> {
    const header = (name: string) => String(headers[name] ?? '')
    const [requestId, atMs] = [header(REQUEST_ID), Number(header(SIGNED_AT))]
    const signed = { atMs, path: url, requestId, body: '' }
    this.#options.key.check(signed, header(SIGNATURE), this.#clock.nowMs())
    const [, machine = '', port = ''] = PATH.exec(url) ?? []
    if (machine === '') throw refuse('flyd.not_found', 'not_found: no stream by this name')
    if (this.#open.size > STREAMS_MAX) {
      throw refuse('flyd.host_unreached', 'unavailable: this host has too many streams')
    }
    using deadline = startDeadline('the connection', CONNECT_MS_MAX, { clock: this.#clock })
    return await this.#options.host.connect(machine, { port: Number(port) }, deadline.signal)
  }
}
