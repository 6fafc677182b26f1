/** The Machines API and the log stream at the platform's addresses of a host: handed on to a gateway, over the mesh. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { errorCode, type Log, startDeadline } from '#base'
import { joinDuplex } from '#ssh'
import { checkNetworkId, parseSixPn } from '../six-pn-address.ts'
import { printSource } from './carried-source.ts'
import { type RelayLimitSizes, RelayLimits } from './relay-limits.ts'

/** As flyctl and its libraries know them. */
export const PLATFORM_API_PORT = 4280
export const PLATFORM_LOGS_PORT = 4223
/** Where gateways take on the mesh what hosts hand on. */
export const GATEWAY_API_PORT = 4284
export const GATEWAY_LOGS_PORT = 4285

export interface RelayedService {
  /** At the platform's addresses. */
  readonly port: number
  /** At gateways, on the mesh. */
  readonly gatewayPort: number
}

export const RELAYED_SERVICES: readonly RelayedService[] = [
  { port: PLATFORM_API_PORT, gatewayPort: GATEWAY_API_PORT },
  { port: PLATFORM_LOGS_PORT, gatewayPort: GATEWAY_LOGS_PORT },
]

export interface PlatformRelayOptions {
  /** Addresses of this host that machines and devices reach. */
  readonly addresses: readonly string[]
  readonly services: readonly RelayedService[]
  /** Addresses of gateways on the mesh, the nearest first. */
  readonly gateways: () => readonly string[]
  readonly limits?: RelayLimitSizes
  readonly log: Log
}

/** What became of connections. */
export type RelayOutcome = 'handed_on' | 'too_many' | 'stranger' | 'no_gateway'

const CONNECT_MS_MAX = 2_000
/** Gateways that are tried for one connection. */
const TRIES_MAX = 4
/** A computer that was closed says nothing: the kernel asks it. */
const KEEP_ALIVE_MS = 60_000

/**
 * Takes connections of machines and of people's devices, and joins each with a gateway, which is told who asks. It reads
 * none of their bytes. Whether a machine may come here at all the programs have decided: native/bpf/machine.h.
 */
export class PlatformRelay implements AsyncDisposable {
  readonly #options: PlatformRelayOptions
  readonly #limits: RelayLimits
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #stopping = new AbortController()
  #isCutOff = false
  readonly outcomes: Record<RelayOutcome, number> = {
    ...{ handed_on: 0, too_many: 0, stranger: 0, no_gateway: 0 },
  }

  private constructor(options: PlatformRelayOptions) {
    this.#options = options
    this.#limits = new RelayLimits(options.limits)
  }

  /** @throws the system's error: an address is not of this host, or a port is taken */
  static async open(options: PlatformRelayOptions): Promise<PlatformRelay> {
    const relay = new PlatformRelay(options)
    try {
      for (const host of options.addresses) {
        for (const service of options.services) await relay.#listen(host, service)
      }
    } catch (error) {
      await relay[Symbol.asyncDispose]()
      throw error
    }
    return relay
  }

  /** Of what it listens at, in the order of addresses and then of services. */
  get ports(): number[] {
    return this.#servers.map((server) => (server.address() as AddressInfo).port)
  }

  /** Connections that are open. */
  get open(): number {
    return this.#limits.open
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the daemon of the network ends'))
    for (const socket of this.#sockets) socket.destroy()
    const listening = this.#servers.filter((server) => server.listening)
    await Promise.all(listening.map((server) => new Promise((done) => server.close(done))))
  }

  async #listen(host: string, { port, gatewayPort }: RelayedService): Promise<void> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      this.#track(socket)
      this.#serve(socket, gatewayPort).catch((err: unknown) => {
        socket.destroy()
        if (!this.#stopping.signal.aborted)
          this.#options.log.error({ err }, 'a connection was lost')
      })
    })
    this.#servers.push(server)
    server.listen(port, host)
    await once(server, 'listening') // rejects with an error
  }

  async #serve(socket: Socket, gatewayPort: number): Promise<void> {
    const { remoteAddress: address = '', remotePort: port = 0 } = socket
    const { localAddress = '', localPort = 0 } = socket
    if (!isOfNetwork(address)) {
      this.#refuse(socket, 'stranger')
      return
    }
    const giveBack = this.#limits.take(address)
    if (giveBack === undefined) {
      this.#refuse(socket, 'too_many')
      return
    }
    socket.once('close', giveBack)
    if (socket.destroyed) return // its end came before we listened for it
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    const gateway = await this.#reach(gatewayPort)
    if (gateway === undefined) {
      this.#refuse(socket, 'no_gateway')
      return
    }
    if (socket.destroyed) return void gateway.destroy()
    this.#count('handed_on')
    gateway.write(printSource({ address, port }, { address: localAddress, port: localPort }))
    joinDuplex(socket, gateway)
  }

  #refuse(socket: Socket, outcome: RelayOutcome): void {
    this.#options.log.debug({ from: socket.remoteAddress, outcome }, 'a connection is refused')
    this.#count(outcome)
    socket.resetAndDestroy()
  }

  /** That no gateway answers is told once, until one does again. */
  #count(outcome: RelayOutcome): void {
    this.outcomes[outcome] += 1
    if (outcome === 'no_gateway' && !this.#isCutOff) {
      this.#options.log.warn('no gateway answers what machines ask of the API or the log stream')
    }
    if (outcome === 'no_gateway' || outcome === 'handed_on') {
      this.#isCutOff = outcome === 'no_gateway'
    }
  }

  async #reach(port: number): Promise<Socket | undefined> {
    for (const host of this.#options.gateways().slice(0, TRIES_MAX)) {
      const socket = await this.#dial(host, port)
      if (socket !== undefined) return socket
    }
    return undefined
  }

  async #dial(host: string, port: number): Promise<Socket | undefined> {
    const { signal } = this.#stopping
    using deadline = startDeadline('the connection to a gateway', CONNECT_MS_MAX, { signal })
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
    this.#track(socket)
    try {
      await once(socket, 'connect', { signal: deadline.signal })
      return socket
    } catch (err) {
      socket.destroy()
      this.#options.log.debug({ host, port, code: errorCode(err) }, 'a gateway does not answer')
      return undefined
    }
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#sockets.delete(socket))
  }
}

/** Of an organisation's: neither the host itself nor anybody from elsewhere. */
function isOfNetwork(address: string): boolean {
  try {
    checkNetworkId(parseSixPn(address).network)
    return true
  } catch {
    return false // that is what it throws for
  }
}
