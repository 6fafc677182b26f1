import { type Log, systemRandom } from '#base'
import type { Certificates } from '../certificates.ts'
import { Engine } from '../forward/engine.ts'
import { defaultLimits, type ProxyLimits } from '../forward/limits.ts'
import { Listener } from '../forward/listener.ts'
import type { RemoteOpener } from '../forward/remote-opener.ts'
import { TrustedBalancers } from '../forward/trusted-balancers.ts'
import { EventLoop } from '../net/event-loop.ts'
import { AccessLog } from '../observe/access-log.ts'
import { Counters } from '../observe/counters.ts'
import type { Router } from '../route.ts'

const SWEEP_MS = 500
const DRAIN_LOOK_MS = 50

export interface ServeOptions {
  readonly router: Router
  readonly certificates: Certificates
  /** Listening descriptors; they are the caller's, and stay open. */
  readonly listeners: readonly number[]
  readonly region: string
  readonly log: Log
  readonly limits?: Partial<ProxyLimits>
  /** TICKET_KEY_BYTES: the same on all processes and hosts that resume each other's TLS sessions. */
  readonly ticketKey: Uint8Array
  /** Networks whose connections begin with a PROXY header. @default none */
  readonly proxyProtocolFrom?: readonly string[]
  /** For decisions that lead to other hosts. @default there are none */
  readonly openRemote?: RemoteOpener
  /** The share of requests that are logged; 0 for none. */
  readonly accessLogRatio?: number
  /** @default standard output */
  readonly writeAccessLog?: (text: string, done: () => void) => void
}

/** A proxy that serves in this process. */
export interface Serving {
  readonly counters: Counters
  /** For other sockets of this process. It goes on until `close`. */
  readonly loop: EventLoop
  /** Accepts from one more descriptor, which is the caller's. */
  listen(fd: number): void
  /** Accepts no more from it; connections that are there go on. */
  unlisten(fd: number): void
  /** Session tickets are sealed with this key from now on. */
  useTicketKey(ticketKey: Uint8Array): void
  /** Clients of WebSockets to this machine are told that it goes away (1001). @returns how many */
  goAway(machine: string): number
  /**
   * Takes no new connections, ends idle ones, waits for the others until the deadline, then ends them: WebSockets with
   * a close frame.
   * @param keepsIdle connections on which nothing goes on are kept until the deadline, and answered once more: whoever
   *   writes to one at this moment loses nothing
   */
  drain(deadlineMs: number, keepsIdle?: boolean): Promise<void>
  /** Ends everything now. */
  close(): void
}

export function serve(options: ServeOptions): Serving {
  const loop = new EventLoop((error, watcher) => {
    options.log.error({ err: error }, 'a connection was ended by a bug')
    if ('close' in watcher && typeof watcher.close === 'function') watcher.close()
  })
  const counters = new Counters()
  const ratio = options.accessLogRatio ?? 0
  const write =
    options.writeAccessLog ??
    ((text: string, done: () => void) => void process.stdout.write(text, done))
  const engine = new Engine({
    loop,
    counters,
    router: options.router,
    certificates: options.certificates,
    limits: { ...defaultLimits, ...options.limits },
    region: options.region,
    log: options.log,
    ticketKey: options.ticketKey,
    openRemote: options.openRemote,
    balancers: new TrustedBalancers(options.proxyProtocolFrom ?? []),
    accessLog: ratio > 0 ? new AccessLog({ ratio, random: systemRandom, write }) : undefined,
  })
  const listeners = new Map(options.listeners.map((fd) => [fd, new Listener(engine, fd)]))
  const sweep = setInterval(() => {
    loop.nowMs = performance.now()
    engine.clients.sweep(loop.nowMs)
    engine.backends.sweep(loop.nowMs)
  }, SWEEP_MS)
  let hasEnded = false
  const endAll = () => {
    if (hasEnded) return
    hasEnded = true
    clearInterval(sweep)
    for (const listener of listeners.values()) listener.close({ keepsDescriptor: true })
    engine.clients.closeAll()
    engine.backends.closeAll()
    engine.h2c.closeAll()
  }
  return {
    counters,
    loop,
    close() {
      endAll()
      loop[Symbol.dispose]()
    },
    listen: (fd) => void listeners.set(fd, new Listener(engine, fd)),
    useTicketKey: (ticketKey) => engine.tlsContexts.useTicketKey(ticketKey),
    goAway: (machine) => engine.webSockets.goAway(machine),
    unlisten(fd) {
      listeners.get(fd)?.close({ keepsDescriptor: true })
      listeners.delete(fd)
    },
    drain(deadlineMs, keepsIdle = false) {
      engine.keepsIdle = keepsIdle
      return drain(engine, listeners.values(), deadlineMs).finally(endAll)
    },
  }
}

async function drain(
  engine: Engine,
  listeners: Iterable<Listener>,
  deadlineMs: number,
): Promise<void> {
  for (const listener of listeners) listener.close({ keepsDescriptor: true })
  engine.isDraining = true
  engine.clients.drain()
  engine.backends.closeAll()
  await drainUntil(engine, performance.now() + deadlineMs)
  if (engine.webSockets.goAway() > 0)
    await drainUntil(engine, performance.now() + engine.limits.lingerMs)
}

async function drainUntil(engine: Engine, endMs: number): Promise<void> {
  while (engine.clients.size > 0 && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS))
    engine.clients.drain()
  }
}
