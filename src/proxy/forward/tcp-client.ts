import type { Channel } from '../net/channel.ts'
import { BROKEN, PEER_ENDED, type Watcher } from '../net/event-loop.ts'
import { Outbox } from '../net/outbox.ts'
import { addTime } from '../observe/counters.ts'
import { encodeProxyHeader } from '../proxy-protocol.ts'
import type {
  Attempt,
  ConnectionFacts,
  Decision,
  Entrance,
  Lease,
  LeaseResult,
  RouteRequest,
} from '../route.ts'
import type { BackendConnection, BackendUser } from './backend-connection.ts'
import type { Client } from './client-set.ts'
import type { Engine } from './engine.ts'
import { Tunnel } from './tunnel.ts'

/** One raw connection until its machine has taken it; then a tunnel goes on. Nothing is read before. */
export class TcpClient implements Watcher, Client, BackendUser {
  readonly #engine: Engine
  readonly #channel: Channel
  readonly #entrance: Entrance
  readonly #facts: ConnectionFacts
  readonly #serverName: string
  readonly #attempts: Attempt[] = []
  readonly #controller = new AbortController()
  readonly takesResponse = false
  /** None of the client's bytes is sent before. */
  readonly isRepeatable = true
  #backend: BackendConnection | undefined
  #lease: Lease | undefined
  #connectStartMs = 0
  #deadlineMs: number
  #isDone = false
  #isEnding = false

  constructor(
    engine: Engine,
    channel: Channel,
    entrance: Entrance,
    facts: ConnectionFacts,
    serverName: string,
  ) {
    this.#engine = engine
    this.#channel = channel
    this.#entrance = entrance
    this.#facts = facts
    this.#serverName = serverName
    this.#deadlineMs = engine.loop.nowMs + engine.limits.exchangeIdleMs
  }

  get address(): string {
    return this.#facts.clientAddress
  }

  start(): void {
    const request: RouteRequest = {
      entrance: this.#entrance,
      connection: this.#facts,
      kind: 'tcp',
      isTls: this.#entrance.handlers.tls,
      serverName: this.#serverName,
      method: '',
      host: '',
      target: '',
      requestId: '',
      header: () => undefined,
      attempts: this.#attempts,
      signal: this.#controller.signal,
    }
    const decision = this.#engine.router.route(request)
    if (!(decision instanceof Promise)) {
      this.#go(decision)
      return
    }
    this.#engine.loop.letNodeRun()
    decision.then(
      (decided) => this.#go(decided),
      (error: unknown) => {
        this.#engine.log.error({ err: error }, 'the router failed')
        this.close()
      },
    )
  }

  #go(decision: Decision): void {
    if (decision.kind === 'refuse' || decision.kind === 'redirect') {
      this.#engine.counters.fault(decision.kind === 'refuse' ? decision.code : 'PR01')
      this.close()
      return
    }
    if (this.#isDone) {
      decision.lease.release('client-gone', { sent: 0, received: 0 })
      return
    }
    this.#lease = decision.lease
    const { backends } = this.#engine
    const backend =
      decision.kind === 'remote'
        ? backends.connectRemote(decision, {
            connection: this.#facts,
            serverName: this.#serverName,
            requestId: '',
          })
        : backends.connect(decision.address, decision.port)
    if (backend === undefined || typeof backend === 'number') {
      this.#failed('connect-failed')
      return
    }
    this.#backend = backend
    this.#connectStartMs = this.#engine.loop.nowMs
    backend.user = this
    const version = this.#entrance.handlers.proxyProto
    if (version !== 0) {
      backend.outbox.writer.piece(encodeProxyHeader(version, this.#facts))
      backend.outbox.flush()
    }
  }

  connected(backend: BackendConnection): void {
    const lease = this.#lease
    const connectUs = (performance.now() - this.#connectStartMs) * 1000
    lease?.connected(connectUs)
    const counted = this.#engine.counters.machine(lease?.machine ?? '', this.#entrance.app)
    if (counted !== undefined) addTime(counted.connects, connectUs)
    this.#isDone = true
    backend.user = undefined
    const tunnel = new Tunnel({
      engine: this.#engine,
      address: this.address,
      client: {
        channel: this.#channel,
        outbox: new Outbox(this.#channel, this.#engine.clientStage, this.#engine.waiting),
        isEnding: this.#isEnding,
      },
      backend,
      lease,
      idleMs: this.#entrance.idleTimeoutMs ?? Number.POSITIVE_INFINITY,
    })
    this.#engine.clients.replace(this, tunnel)
    backend.outbox.drain()
    tunnel.start(undefined, undefined)
  }

  connectFailed(backend: BackendConnection, result: LeaseResult): void {
    backend.close()
    this.#failed(result)
  }

  #failed(result: LeaseResult): void {
    this.#backend = undefined
    this.#attempts.push({ machine: this.#lease?.machine ?? '', result })
    this.#release(result)
    this.#engine.counters.retries += 1
    if (this.#attempts.length >= this.#engine.limits.attemptsMax) this.close()
    else this.start()
  }

  #release(result: LeaseResult): void {
    this.#lease?.release(result, { sent: 0, received: 0 })
    this.#lease = undefined
  }

  ready(flags: number): void {
    if (flags & PEER_ENDED) this.#isEnding = true
    if (flags & BROKEN) this.close() // bytes and an orderly end wait until the machine is there
  }

  sweep(nowMs: number): void {
    if (this.#isDone) return
    if (
      this.#backend?.isRemote === false &&
      nowMs - this.#connectStartMs > this.#engine.limits.connectMs
    ) {
      this.#backend.close()
      this.#failed('connect-failed')
    } else if (nowMs > this.#deadlineMs) this.close()
  }

  drain(): void {
    // what waits for a machine gets it
  }

  close(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#controller.abort()
    this.#backend?.close()
    this.#release('client-gone')
    this.#channel.close(this.#engine.loop, true)
    this.#engine.clients.remove(this)
  }

  // Nothing of these comes before the tunnel stands.
  backendDrained(): void {
    // the PROXY header went out
  }
  responseBytes(): void {
    // takesResponse is false: nothing is read
  }
  backendEnded(): void {
    // takesResponse is false: nothing is read
  }
  responseFlush(): void {
    // nothing was told
  }
}
