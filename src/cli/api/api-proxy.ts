import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Command } from 'commander'
import type { FlapsClientOptions } from '#flaps-client'
import { interruption } from '../interruption.ts'
import { type ConnectionOptions, connectionOf, type Print, withConnection } from './connection.ts'
import { ApiInputError } from './input-error.ts'

interface ProxyOptions extends ConnectionOptions {
  readonly bindAddr: string
  readonly json?: boolean
}

/** One wait of the API lasts a minute. */
const SILENCE_MS = 120_000

/** `machine api-proxy`: the Machines API on this computer, without a token. */
export function apiProxyCommand(print: Print, until = () => interruption()): Command {
  const command = new Command('api-proxy')
    .summary('the Machines API on this computer, with your token put in')
    .description(
      'Serves the Machines API on this computer until Ctrl-C, and puts your token into each request. Whoever reaches the ' +
        'address may do what the token allows: leave it on the loopback. Requests of web pages are refused.',
    )
    .option('-b, --bind-addr <address:port>', 'where it listens; port 0: any', '127.0.0.1:4280')
    .option('-j, --json', 'say as JSON where it listens')
  return withConnection(command)
    .addHelpText(
      'after',
      '\nExample:\n  $ godwit machine api-proxy &\n  $ curl http://127.0.0.1:4280/v1/apps/web/machines',
    )
    .action(async ({ bindAddr, json, ...options }: ProxyOptions) => {
      const target = await connectionOf(options)
      const { host, port } = listenOf(bindAddr)
      const server = createServer((asked, answer) => pass(target, asked, answer))
      await new Promise<void>((resolve, reject) => {
        server.once('error', (cause: NodeJS.ErrnoException) => reject(taken(bindAddr, cause)))
        server.listen(port, host, resolve)
      })
      const at = server.address() as AddressInfo
      const url = `http://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}`
      print(json ? `${JSON.stringify({ url })}\n` : `${url} is the API at ${target.url}\n`)
      const stopping = until()
      await new Promise<void>((resolve) => {
        if (stopping.aborted) resolve()
        else stopping.addEventListener('abort', () => resolve(), { once: true })
      })
      server.closeAllConnections()
      server.close()
    })
}

function pass(
  { url, token, ca }: FlapsClientOptions,
  asked: IncomingMessage,
  answer: ServerResponse,
): void {
  // A page of somebody else's must not use the token of whoever looks at it.
  if (asked.headers.origin !== undefined || asked.headers['sec-fetch-site'] !== undefined) {
    asked.resume()
    refuse(answer, 403, 'permission_denied: requests of web pages are refused')
    return
  }
  const target = new URL(asked.url ?? '/', url)
  const own = new URL(url)
  target.host = own.host // an absolute request target leads nowhere else
  target.protocol = own.protocol
  const { host: _, authorization: __, connection: ___, ...headers } = asked.headers
  const options = {
    method: asked.method,
    headers: {
      ...headers,
      authorization: /^(FlyV1|Bearer) /i.test(token) ? token : `FlyV1 ${token}`,
    },
    timeout: SILENCE_MS,
    ...(ca === undefined ? {} : { ca }),
  }
  const request = target.protocol === 'https:' ? httpsRequest : httpRequest
  const call = request(target, options, (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers)
    response.pipe(answer)
    response.once('error', () => answer.destroy())
  })
  call.once('timeout', () => call.destroy(new Error('no answer in time')))
  call.once('error', (error) => {
    if (answer.headersSent) answer.destroy()
    else refuse(answer, 502, `unavailable: the API was not reached: ${error.message}`)
  })
  answer.once('close', () => call.destroy())
  asked.pipe(call)
}

function refuse(answer: ServerResponse, status: number, error: string): void {
  answer.writeHead(status, { 'content-type': 'application/json' })
  answer.end(JSON.stringify({ error }))
}

function listenOf(text: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(?:\[?([^\]]*)\]?:)?(\d{1,5})$/.exec(text) ?? []
  if (port !== '' && Number(port) <= 65_535)
    return { host: host || '127.0.0.1', port: Number(port) }
  throw new ApiInputError('cli.bad_value', {
    what: 'not an address and a port',
    values: { value: text },
    fix: 'write it like 127.0.0.1:4280',
  })
}

const taken = (address: string, cause: NodeJS.ErrnoException) =>
  new ApiInputError('cli.bad_value', {
    what: 'cannot listen there',
    values: { address, why: cause.code },
    fix: 'give another --bind-addr; port 0 is any that is free',
    cause,
  })
