import { type ClientHttp2Session, connect } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { ChannelDuplex } from '../net/channel-duplex.ts'
import type { ToMachine, ToRemote } from '../route.ts'
import { BackendConnection, type BackendKind, type BackendUser } from './backend-connection.ts'
import type { BackendOwner } from './backend-owner.ts'
import { H2cChannel } from './h2c-channel.ts'
import { type RemoteClient, RemoteConnection } from './remote-connection.ts'

/** What most servers allow on one connection. */
const STREAMS_MAX = 100
const IDLE_MS = 4_000

interface Session {
  readonly http2: ClientHttp2Session
  streams: number
  /** Several exchanges use it. */
  readonly isShared: boolean
  isConnected: boolean
  /** Its machine has said that it speaks HTTP/2. */
  isReady: boolean
}

/**
 * HTTP/2 without TLS to machines whose service has `h2_backend` (RFC 9113, section 3.3). A connection to a machine of
 * this host carries many exchanges; over the backhaul each has its own, for the worker counts streams.
 */
export class H2cSessions {
  readonly #owner: BackendOwner
  readonly #byMachine = new Map<string, Set<Session>>()

  constructor(owner: BackendOwner) {
    this.#owner = owner
  }

  /** @returns undefined: there is no way to the machine's host now */
  connect(to: ToMachine | ToRemote, client: RemoteClient): BackendConnection | undefined {
    const channel = new H2cChannel(this.#owner.loop)
    const connection = new BackendConnection(this.#owner, channel, kind, false)
    channel.watchedBy(this.#owner.loop, connection)
    if (to.kind === 'machine') {
      this.#join(this.#sessionOf(to.address, to.port), channel, connection)
    } else if (!this.#connectRemote(to, client, channel, connection)) return undefined
    this.#owner.counters.backendsOpen += 1
    return connection
  }

  closeAll(): void {
    for (const sessions of this.#byMachine.values()) {
      for (const { http2 } of sessions) http2.close()
    }
  }

  #sessionOf(address: string, port: number): Session {
    const key = `${address} ${port}`
    const sessions = this.#byMachine.get(key) ?? new Set<Session>()
    this.#byMachine.set(key, sessions)
    for (const session of sessions) {
      if (session.streams < STREAMS_MAX && !session.http2.closed && !session.http2.destroyed) {
        return session
      }
    }
    const session = startSession(connectTcp({ host: address, port, noDelay: true }), true)
    sessions.add(session)
    session.http2.once('close', () => {
      sessions.delete(session)
      if (sessions.size === 0) this.#byMachine.delete(key)
    })
    session.http2.setTimeout(IDLE_MS, () => {
      if (session.streams === 0) session.http2.close()
    })
    return session
  }

  #connectRemote(
    to: ToRemote,
    client: RemoteClient,
    channel: H2cChannel,
    connection: BackendConnection,
  ): boolean {
    const { loop } = this.#owner
    const link = RemoteConnection.open(this.#owner, to, client)
    if (link === undefined) return false
    this.#owner.counters.backendsOpen += 1
    const user: BackendUser = {
      takesResponse: false,
      isRepeatable: true,
      connected: () => {
        link.user = undefined
        if (connection.isClosed) {
          link.close()
          return
        }
        const duplex = new ChannelDuplex(link.channel, link.outbox, loop)
        duplex.once('close', () => {
          this.#owner.counters.backendsOpen -= 1
        })
        duplex.on('leaving', () => channel.leaving())
        link.channel.watchedBy(loop, duplex)
        this.#join(startSession(duplex, false), channel, connection)
      },
      connectFailed: (_link, result, code) => {
        link.close()
        connection.user?.connectFailed(connection, result, code)
      },
      backendDrained: () => undefined,
      responseBytes: () => undefined,
      backendEnded: () => undefined,
      responseFlush: () => undefined,
    }
    link.user = user
    return true
  }

  #join(session: Session, channel: H2cChannel, connection: BackendConnection): void {
    const { loop } = this.#owner
    session.streams += 1
    channel.begin(session.http2, () => {
      session.streams -= 1
      if (!session.isShared) session.http2.close()
    })
    if (session.isReady) {
      // After its user knows the connection, as with any other.
      setImmediate(() => {
        if (!connection.isClosed) loop.enter(connection, () => connection.established())
      })
      loop.letNodeRun()
      return
    }
    const settle = (act: () => void) => {
      session.http2.off('remoteSettings', onReady).off('close', onClose)
      if (!connection.isClosed && connection.isConnecting) loop.enter(connection, act)
    }
    const onReady = () => settle(() => connection.established())
    const onClose = () => {
      // What takes a connection and does not speak HTTP/2 will not learn it by being asked again.
      const [result, code] = session.isConnected
        ? (['no-response', 'PU01'] as const)
        : (['connect-failed', 'PC01'] as const)
      settle(() => connection.user?.connectFailed(connection, result, code))
    }
    session.http2.once('remoteSettings', onReady).once('close', onClose)
    loop.letNodeRun()
  }
}

function startSession(socket: Duplex, isShared: boolean): Session {
  const http2 = connect('http://machine', {
    createConnection: () => socket,
    settings: { enablePush: false },
  })
  const session: Session = { http2, streams: 0, isShared, isConnected: false, isReady: false }
  http2.once('connect', () => {
    session.isConnected = true
  })
  http2.once('remoteSettings', () => {
    session.isReady = true
  })
  http2.on('error', () => undefined) // 'close' follows, and says it to who waits
  return session
}

const kind: BackendKind = {
  connectResult: () => undefined, // the session says it
  ended: (connection) => connection.close(),
  disturbed: (connection) => connection.close(),
}
