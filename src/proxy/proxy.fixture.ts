import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createLog } from '#base'
import type { Certificates } from './certificates.ts'
import type { ProxyLimits } from './forward/limits.ts'
import { close } from './net/libc.ts'
import { localAddress, openListener } from './net/socket.ts'
import { type Serving, serve } from './run/serve.ts'
import type { StaticService } from './run/static-config.ts'
import { StaticRouter } from './run/static-router.ts'
import { TICKET_KEY_BYTES } from './tls/tls-context.ts'

export interface TestProxy extends AsyncDisposable {
  readonly port: number
  readonly serving: Serving
}

type Service = StaticService
type Handler = Service['ports'][number]['handlers'][number]

/** A proxy in this process on a free port, before machines on 127.0.0.1. */
export function startProxy(options: {
  handlers?: Handler[]
  machines: readonly number[]
  limits?: Partial<ProxyLimits>
  certificates?: Certificates
  service?: Partial<Service>
  forceHttps?: boolean
  alpn?: string[]
  accessLog?: (text: string) => void
  proxyProtocolFrom?: readonly string[]
}): TestProxy {
  const fd = openListener('127.0.0.1', 0)
  const { port } = localAddress(fd)
  const ports: Service['ports'] = [
    {
      port,
      handlers: options.handlers ?? ['http'],
      force_https: options.forceHttps ?? false,
      ...(options.alpn === undefined ? {} : { alpn: options.alpn }),
    },
  ]
  const service: Service = {
    app: 'app',
    hosts: [],
    ports,
    machines: options.machines.map((machine) => ({ address: '127.0.0.1', port: machine })),
    h2_backend: false,
    pristine: false,
    compress: false,
    response_headers: {},
    proxy_proto_version: 1,
    keep_body_bytes: 1 << 20,
    ...options.service,
  }
  const { accessLog } = options
  const serving = serve({
    router: new StaticRouter({ services: [service] }),
    certificates: options.certificates ?? { find: () => undefined, challenge: () => undefined },
    listeners: [fd],
    region: 'tst',
    log: createLog({ part: 'proxy', level: 'error' }),
    ticketKey: Buffer.alloc(TICKET_KEY_BYTES, 7),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    proxyProtocolFrom: options.proxyProtocolFrom ?? [],
    ...(accessLog === undefined
      ? {}
      : {
          accessLogRatio: 1,
          writeAccessLog: (text: string, done: () => void) => {
            accessLog(text)
            done()
          },
        }),
  })
  return {
    port,
    serving,
    async [Symbol.asyncDispose]() {
      serving.close()
      close(fd)
    },
  }
}

/** A TCP server on a free port that hands each connection to `serve`. */
export async function startMachine(
  serveConnection: (socket: Socket) => void,
): Promise<AsyncDisposable & { readonly port: number; readonly server: Server }> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined) // a reset is what some tests are about
    socket.once('close', () => sockets.delete(socket))
    serveConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return {
    port: address.port,
    server,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Sends `text` on a new connection, and gives all that came back until the end or the deadline. */
export async function exchange(
  port: number,
  text: string | Buffer,
  options: {
    /** Our direction ends at once. */
    ends?: boolean
    /** It ends once so long nothing came. */
    quietMs?: number
    until?: (received: string) => boolean
    deadlineMs?: number
  } = {},
): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const chunks: Buffer[] = []
  let received = ''
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      clearTimeout(quiet)
      socket.destroy()
      resolve(received)
    }
    const timer = setTimeout(done, options.deadlineMs ?? 20_000)
    const { quietMs } = options
    const quiet = quietMs === undefined ? undefined : setTimeout(() => socket.end(), quietMs)
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      quiet?.refresh()
      received = Buffer.concat(chunks).toString('latin1')
      if (options.until?.(received) === true) done()
    })
    socket.once('end', done)
    socket.once('close', done)
    socket.on('error', () => undefined) // a reset ends it too
    socket.write(text, 'latin1')
    if (options.ends === true) socket.end()
  })
}

/** Answers every request head on a connection with `response`; bodies are not expected. */
export const answering =
  (response: string | ((head: string) => string)) =>
  (socket: Socket): void => {
    let held = ''
    socket.on('data', (chunk: Buffer) => {
      held += chunk.toString('latin1')
      for (let end = held.indexOf('\r\n\r\n'); end >= 0; end = held.indexOf('\r\n\r\n')) {
        const head = held.slice(0, end + 4)
        held = held.slice(end + 4)
        socket.write(typeof response === 'string' ? response : response(head), 'latin1')
      }
    })
    socket.once('end', () => socket.end())
  }
