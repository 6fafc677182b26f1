import type { Server, Socket } from 'node:net'
import { type Clock, type Log, TokenBuckets } from '#base'
import { formatSixPn, parseSixPn, type RelayLimitSizes, RelayLimits } from '#net6'
import { joinDuplex } from '#ssh'
import type { MachineHost } from '../host.ts'
import type { MachineView } from '../model/machine-view.ts'
import { SSH_PORT } from './machine-access.ts'

export interface SshPortLimits {
  /** Open at a time, by who opened them: all of this host, of a network, of one machine or device. */
  readonly sources: RelayLimitSizes
  /** Open at a time, by the machine that they are to. */
  readonly perTarget: number
  /** New ones, of one machine or device; of a network NETWORK_PART times as many. Handshakes cost this process time. */
  readonly perSecond: number
  readonly atOnce: number
}

const NETWORK_PART = 4

export const SSH_PORT_LIMITS: SshPortLimits = {
  sources: { connections: 512, perNetwork: 256, perMachine: 32 },
  ...{ perTarget: 64, perSecond: 5, atOnce: 50 },
}

export interface SshPortOptions {
  /** Where the host answers port 22 of its machines; a connection's own address is the machine's. */
  readonly listen: (onConnection: (socket: Socket) => void) => Promise<Server>
  readonly host: Pick<MachineHost, 'connect'>
  readonly view: Pick<MachineView, 'machines'>
  readonly limits?: SshPortLimits
  readonly clock: Clock
  readonly log: Log
}

/** What became of connections. */
export type SshPortOutcome = 'handed_on' | 'too_many' | 'too_often' | 'no_machine' | 'failed'

const CONNECT_MS_MAX = 5_000
/** A computer that was closed says nothing: the kernel asks it. */
const KEEP_ALIVE_MS = 60_000

/**
 * Port 22 of the 6PN addresses of this host's machines: each connection is one to the machine's SSH server, which asks for
 * a certificate. That it comes from the machine's own network the programs have seen to (native/bpf/ssh.h).
 */
export class SshPort implements AsyncDisposable {
  readonly #options: SshPortOptions
  readonly #sources: RelayLimits
  readonly #targets: RelayLimits
  readonly #rates: TokenBuckets
  readonly #networkRates: TokenBuckets
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  readonly outcomes: Record<SshPortOutcome, number> = {
    ...{ handed_on: 0, too_many: 0, too_often: 0, no_machine: 0, failed: 0 },
  }

  private constructor(options: SshPortOptions) {
    const { limits = SSH_PORT_LIMITS } = options
    this.#options = options
    const { connections } = limits.sources
    this.#sources = new RelayLimits(limits.sources)
    this.#targets = new RelayLimits({
      ...{ connections, perNetwork: connections, perMachine: limits.perTarget },
    })
    const { perSecond, atOnce } = limits
    this.#rates = new TokenBuckets(perSecond, atOnce)
    this.#networkRates = new TokenBuckets(NETWORK_PART * perSecond, NETWORK_PART * atOnce)
  }

  /** A port that is taken is told: machines are entered over the API then, and everything else goes on. */
  static async open(options: SshPortOptions): Promise<SshPort> {
    const port = new SshPort(options)
    try {
      port.#server = await options.listen((socket) => void port.#serve(socket))
    } catch (err) {
      options.log.error({ err }, 'machines are not entered by port 22 of their addresses')
    }
    return port
  }

  /** Connections that are open. */
  get open(): number {
    return this.#sockets.size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    const server = this.#server
    if (server?.listening) await new Promise((done) => server.close(done))
  }

  /** Never rejects. */
  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    const { remoteAddress: from = '', localAddress: to = '' } = socket
    try {
      const machine = this.#machineAt(to)
      const refused = machine === undefined ? 'no_machine' : this.#refusal(socket, from, to)
      if (machine === undefined || refused !== undefined) {
        this.outcomes[refused ?? 'no_machine'] += 1
        this.#options.log.debug({ from, to, outcome: refused }, 'a connection for ssh is refused')
        socket.resetAndDestroy()
        return
      }
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      socket.setNoDelay(true)
      const signal = AbortSignal.timeout(CONNECT_MS_MAX)
      const stream = await this.#options.host.connect(machine, { port: SSH_PORT, from }, signal)
      if (socket.destroyed) return void stream.destroy()
      this.outcomes.handed_on += 1
      joinDuplex(socket, stream)
    } catch (err) {
      this.outcomes.failed += 1
      this.#options.log.info({ err, from, to }, 'a machine is not entered')
      socket.destroy()
    }
  }

  /** @returns undefined: it has its places, which it gives back when it closes */
  #refusal(socket: Socket, from: string, to: string): SshPortOutcome | undefined {
    const nowMs = this.#options.clock.monotonicMs()
    const { network, ...rest } = parseSixPn(from)
    const device = formatSixPn({ network, ...rest, low: 0 }) // it may have many addresses
    const isFrequent = !this.#rates.take(device, nowMs)
    if (isFrequent || !this.#networkRates.take(String(network), nowMs)) return 'too_often'
    const giveBack = this.#sources.take(from)
    if (giveBack === undefined) return 'too_many'
    const giveBackTarget = this.#targets.take(to)
    if (giveBackTarget === undefined) {
      giveBack()
      return 'too_many'
    }
    const release = () => {
      giveBack()
      giveBackTarget()
    }
    if (socket.destroyed) release()
    else socket.once('close', release)
    return undefined
  }

  #machineAt(address: string): string | undefined {
    for (const { id, privateIp, state } of this.#options.view.machines()) {
      if (privateIp === address && state !== 'destroyed' && state !== 'migrated') return id
    }
    return undefined
  }
}
