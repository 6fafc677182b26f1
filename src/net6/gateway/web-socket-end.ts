/** WireGuard through TCP 443, for networks that let nothing else out. The stock client begins with it. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { type CertificateFiles, type Clock, followCertificate, type Log } from '#base'
import { DatagramReader, datagramFrame } from './datagram-stream.ts'

export interface WebSocketEndOptions {
  readonly listen: { readonly host: string; readonly port: number }
  /** Clients do not verify it: WireGuard does that inside. */
  readonly tls: CertificateFiles
  /** WireGuard's UDP port on this host. */
  readonly peerPort: number
  readonly clock: Clock
  readonly log: Log
}

export interface WebSocketEnd extends AsyncDisposable {
  readonly port: number
}

const CLIENTS_MAX = 4_096
/** A client says something each second. */
const SILENT_MS = 30_000
const SWEEP_MS = 5_000
/** What a client does not take in is dropped, as it is on any link. */
const UNSENT_BYTES_MAX = 256 * 1024
const MESSAGE_BYTES_MAX = 1 << 20
const HEADERS_MS = 10_000

/**
 * Each connection has a UDP socket of its own, so that WireGuard can tell clients apart.
 *
 * @throws BaseError base.certificate_bad; what the system says of files and the address
 */
export async function openWebSocketEnd(options: WebSocketEndOptions): Promise<WebSocketEnd> {
  const { listen, tls, peerPort, clock, log } = options
  const server = createServer({ ALPNProtocols: ['http/1.1'], headersTimeout: HEADERS_MS })
  using opened = new DisposableStack()
  opened.use(followCertificate(server, tls, { log, clock }))
  server.maxConnections = CLIENTS_MAX
  server.on('request', (_request, response) => response.writeHead(426).end())
  const sockets = new WebSocketServer({
    ...{ server, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false },
    skipUTF8Validation: true, // messages are text by name, and bytes by content
  })
  const heardMs = new Map<WebSocket, number>()
  sockets.on('connection', (client) => {
    heardMs.set(client, performance.now())
    client.once('close', () => heardMs.delete(client))
    serve(client, peerPort, () => heardMs.set(client, performance.now()), log)
  })
  sockets.on('error', (err) => log.debug({ err }, 'the WebSocket end'))
  const sweep = setInterval(() => {
    const oldest = performance.now() - SILENT_MS
    for (const [client, atMs] of heardMs) if (atMs < oldest) client.terminate()
  }, SWEEP_MS)
  opened.defer(() => clearInterval(sweep))
  server.listen(listen.port, listen.host)
  await once(server, 'listening') // rejects with an error
  const held = opened.move()
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      held.dispose()
      for (const client of sockets.clients) client.terminate()
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

const UNACCEPTABLE = 1003

function serve(client: WebSocket, peerPort: number, heard: () => void, log: Log): void {
  const reader = new DatagramReader({ awaitsMagic: true })
  const udp = createSocket('udp4')
  let isOpen = true
  const end = (code?: number) => {
    if (!isOpen) return
    isOpen = false
    udp.close()
    client.close(code)
  }
  udp.on('message', (datagram) => {
    if (client.bufferedAmount > UNSENT_BYTES_MAX) return
    client.send(datagramFrame(datagram), { binary: false })
  })
  udp.on('error', (err) => log.debug({ err }, 'a datagram did not reach WireGuard'))
  client.on('message', (data: Buffer) => {
    if (!isOpen) return
    heard()
    try {
      for (const datagram of reader.push(data)) udp.send(datagram, peerPort, '127.0.0.1')
    } catch (err) {
      log.debug({ err }, 'a client of the WebSocket end speaks something else')
      end(UNACCEPTABLE)
    }
  })
  client.on('error', (err) => {
    log.debug({ err }, 'a client of the WebSocket end')
    end()
  })
  client.on('close', () => end())
}
