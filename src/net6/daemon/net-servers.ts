/** What is served of the daemon: figures and health over TCP, commands over a socket file. */
import { rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, ListenOptions } from 'node:net'
import { dirname } from 'node:path'
import type { Registry } from 'prom-client'
import { errorCode, GodwitError, httpStatusOf, startDeadline } from '#base'
import { Net6Error } from '../errors.ts'

const ANSWER_MS = 60_000
const ANSWER_BYTES_MAX = 1 << 20

export interface Served extends AsyncDisposable {
  readonly port: number
}

/** `/metrics`, and `/healthz`: 200 while the mesh's device stands, whatever corrosion does. */
export async function serveObserve(
  listen: { readonly host: string; readonly port: number },
  of: { readonly registry: Registry; readonly health: () => Promise<HealthJson> },
): Promise<Served> {
  const server = createServer((asked, response) => {
    const answer =
      asked.url === '/metrics'
        ? of.registry.metrics().then((text) => response.writeHead(200).end(text))
        : asked.url === '/healthz'
          ? of.health().then((body) => send(response, body.ok ? 200 : 503, body))
          : Promise.resolve(send(response, 404, { what: 'no such view' }))
    answer.catch((error: unknown) => send(response, 500, { what: String(error) }))
  })
  await listening(server, listen)
  return served(server)
}

export interface HealthJson {
  readonly ok: boolean
  readonly rows: { readonly is_complete: boolean; readonly is_connected: boolean }
}

export type NetCommand = 'rotate-key' | 'drain' | 'undrain' | 'anycast'

/** `POST /<command>`. A socket file that a killed daemon left is replaced. */
export async function serveCommands(
  path: string,
  commands: Partial<Record<NetCommand, () => Promise<unknown>>>,
): Promise<Served> {
  await mkdir(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  const server = createServer((asked, response) => {
    const name = (asked.url ?? '').slice(1)
    const command = Object.hasOwn(commands, name) ? commands[name as NetCommand] : undefined
    if (asked.method !== 'POST' || command === undefined) {
      return send(response, 404, {
        what: 'this host has no such command',
        values: { command: name },
      })
    }
    command().then(
      (answer) => send(response, 200, answer as object),
      (error: unknown) => send(response, httpStatusOf(error), faultOf(error)),
    )
  })
  const mask = process.umask(0o177)
  try {
    await listening(server, { path })
  } finally {
    process.umask(mask)
  }
  return served(server)
}

/** @throws Net6Error net6.daemon_away, or what the daemon refused with */
export async function commandNet(socketPath: string, command: NetCommand): Promise<unknown> {
  using deadline = startDeadline(`the command ${command}`, ANSWER_MS)
  const { signal } = deadline
  const { status, text } = await new Promise<{ status: number; text: string }>(
    (resolve, reject) => {
      const fail = (cause: unknown) =>
        reject(signal.aborted ? signal.reason : away(socketPath, cause))
      const options = { socketPath, path: `/${command}`, method: 'POST', signal }
      const asked = request(options, (response) => {
        let read = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          read += chunk
          if (read.length > ANSWER_BYTES_MAX) asked.destroy(new Error('the answer has no end'))
        })
        response.on('error', fail)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: read }))
      })
      asked.on('error', fail)
      asked.end()
    },
  )
  const body = JSON.parse(text)
  if (status === 200) return body
  throw new Net6Error('net6.host_unable', { what: body.what, values: body.values, fix: body.fix })
}

const away = (path: string, cause: unknown) =>
  new Net6Error('net6.daemon_away', {
    what: 'no daemon of the network answers on its socket',
    values: { path, why: errorCode(cause) ?? String(cause) },
    fix: 'start it with godwit net run, or name its socket with --socket',
    cause,
  })

function faultOf(error: unknown): object {
  if (!(error instanceof GodwitError)) return { what: String(error) }
  return { what: error.what, values: error.values, fix: error.fix }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

function listening(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, resolve)
  })
}

const served = (server: Server): Served => ({
  port: (server.address() as AddressInfo).port,
  [Symbol.asyncDispose]() {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve()))
  },
})

/** `ip:port`, `[ip]:port`, as the configuration has checked it. */
export function parseListen(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) }
}
