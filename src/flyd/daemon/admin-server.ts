import { rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import { GodwitError, type Log } from '#base'
import type { HostMode } from '#market'
import { refuse } from '../errors.ts'
import type { LogLine } from '../logs/machine-logs.ts'
import { isHostMode } from './host-mode.ts'

/** What operators ask of the daemon. */
export interface AdminHost {
  status(): unknown
  metrics(): Promise<string>
  logLines(machineId: string, limit: number): Promise<readonly LogLine[]>
  setMode(mode: HostMode): Promise<void>
}

const LIMIT_MAX = 10_000

/** `/healthz` and `/metrics` over TCP; these and commands over a socket file that root alone may open. */
export class AdminServer implements AsyncDisposable {
  readonly #host: AdminHost
  readonly #log: Log
  readonly #servers: Server[] = []
  readonly #socket: string

  private constructor(host: AdminHost, socket: string, log: Log) {
    this.#host = host
    this.#socket = socket
    this.#log = log
  }

  /** @throws what listening says. A socket file that a killed daemon left is replaced. */
  static async listen(
    host: AdminHost,
    { listen, socket, log }: { listen: { host: string; port: number }; socket: string; log: Log },
  ): Promise<AdminServer> {
    const admin = new AdminServer(host, socket, log)
    try {
      await admin.#open((server, done) => server.listen(listen.port, listen.host, done), false)
      await mkdir(dirname(socket), { recursive: true })
      rmSync(socket, { force: true })
      const before = process.umask(0o077)
      try {
        await admin.#open((server, done) => server.listen(socket, done), true)
      } finally {
        process.umask(before)
      }
      return admin
    } catch (error) {
      await admin[Symbol.asyncDispose]()
      throw error
    }
  }

  get port(): number {
    const address = this.#servers[0]?.address() as AddressInfo | undefined
    return address?.port ?? 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    }
    rmSync(this.#socket, { force: true })
  }

  async #open(
    listen: (server: Server, done: () => void) => void,
    mayCommand: boolean,
  ): Promise<void> {
    const server = createServer((request, response) => {
      void this.#answer(request, response, mayCommand)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      listen(server, resolve)
    })
    this.#servers.push(server)
  }

  async #answer(request: IncomingMessage, response: ServerResponse, mayCommand: boolean) {
    try {
      const url = new URL(request.url ?? '/', 'http://flyd')
      const body = await this.#bodyOf(`${request.method} ${url.pathname}`, url, mayCommand)
      if (body === undefined) return void response.writeHead(404).end('not found\n')
      const isText = typeof body === 'string'
      response.setHeader('content-type', isText ? 'text/plain' : 'application/json')
      response.end(isText ? body : JSON.stringify(body))
    } catch (error) {
      const status = error instanceof GodwitError ? error.traits.status : 500
      if (status >= 500) this.#log.error({ err: error }, 'an admin call failed')
      const json = error instanceof GodwitError ? error.toJSON() : { error: String(error) }
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json))
    }
  }

  /** Undefined: there is no such thing. */
  async #bodyOf(call: string, url: URL, mayCommand: boolean): Promise<unknown> {
    if (call === 'GET /healthz') return 'ok\n'
    if (call === 'GET /metrics') return await this.#host.metrics()
    if (!mayCommand) return undefined
    const limit = Math.min(LIMIT_MAX, Number(url.searchParams.get('limit')) || 100)
    const [, part = '', id = ''] = url.pathname.split('/')
    if (call === 'GET /status') return this.#host.status()
    if (part === 'logs') return await this.#host.logLines(id, limit)
    if (call === 'POST /mode') {
      const mode = url.searchParams.get('is')
      if (!isHostMode(mode)) throw refuse('flyd.argument_bad', `invalid_argument: no mode ${mode}`)
      await this.#host.setMode(mode)
      return this.#host.status()
    }
    return undefined
  }
}
