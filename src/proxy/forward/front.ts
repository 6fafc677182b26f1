import { type SocketChannel, TcpChannel } from '../net/channel.ts'
import { write } from '../net/libc.ts'
import { Memory } from '../net/memory.ts'
import type { ConnectionFacts, Entrance } from '../route.ts'
import { type ClientHello, parseClientHello } from '../tls/client-hello.ts'
import { readPostgresStart } from '../tls/postgres-start.ts'
import { type Client, groupOf } from './client-set.ts'
import type { Engine } from './engine.ts'
import { Http1Client } from './http1-client.ts'
import { openHttp2 } from './http2-front.ts'
import { PeekFront, type Verdict } from './peek-front.ts'
import { TcpClient } from './tcp-client.ts'
import { TlsFront } from './tls-front.ts'
import { behindBalancer } from './trusted-balancers.ts'

/** Of an SSLRequest or a GSSENCRequest. */
const PG_REQUEST_BYTES = 8
const pgAnswer = new Memory(2)
pgAnswer.bytes.write('SN')

/** A fatal alert record: unrecognized_name (RFC 6066, section 3). */
const noNameAlert = new Memory(7)
noNameAlert.bytes.set([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70])

/** Gives an accepted connection to whoever speaks what its entrance asks for. */
export function openFront(
  engine: Engine,
  fd: number,
  entrance: Entrance,
  facts: ConnectionFacts,
  before?: Client,
): void {
  const { pgTls, tls, http } = entrance.handlers
  if (pgTls) openPeek(engine, fd, facts, before, lookForPostgres(engine, entrance, facts))
  else if (tls) openPeek(engine, fd, facts, before, lookForHello(engine, entrance, facts))
  else if (http) openHttp1(engine, new TcpChannel(fd), entrance, facts, '', before)
  else openTcp(engine, new TcpChannel(fd), entrance, facts, '', before)
}

/** A connection of a balancer: its PROXY header says whose it is. Without one it is closed. */
export function openBehindBalancer(engine: Engine, fd: number, facts: ConnectionFacts): void {
  openPeek(engine, fd, facts, undefined, (front, bytes): Verdict => {
    const told = behindBalancer(bytes, facts)
    if (told === 'more') return 'more'
    const isAdmitted = told !== 'bad' && engine.clients.admits(told.facts.clientAddress)
    const entrance = isAdmitted ? engine.router.accept(told.facts) : undefined
    if (told === 'bad' || entrance === undefined) {
      engine.counters.connectionsRefused += 1
      return 'close'
    }
    return { take: told.take, onTaken: () => openFront(engine, fd, entrance, told.facts, front()) }
  })
}

/** Who carries the connection from now on. `before` did until now; undefined for a new one. */
function install(
  engine: Engine,
  fd: number,
  client: Client & { ready(flags: number): void },
  before: Client | undefined,
): void {
  if (before === undefined) {
    engine.clients.add(client)
    engine.loop.add(fd, client)
  } else {
    engine.clients.replace(before, client)
    engine.loop.replace(fd, client)
    engine.loop.again(client)
  }
}

function openPeek(
  engine: Engine,
  fd: number,
  facts: ConnectionFacts,
  before: Client | undefined,
  look: (front: () => PeekFront, bytes: Buffer) => Verdict,
): void {
  const front: PeekFront = new PeekFront(engine, fd, facts.clientAddress, (bytes) =>
    look(() => front, bytes),
  )
  install(engine, fd, front, before)
}

function lookForPostgres(engine: Engine, entrance: Entrance, facts: ConnectionFacts) {
  return (front: () => PeekFront, bytes: Buffer): Verdict => {
    const start = readPostgresStart(bytes)
    if (start === 'more') return 'more'
    if (start === 'gss') {
      return {
        take: PG_REQUEST_BYTES,
        onTaken: ({ fd }) => {
          write(fd, pgAnswer.at(1), 1) // 'N': ask for TLS instead
          openPeek(engine, fd, facts, front(), lookForPostgres(engine, entrance, facts))
        },
      }
    }
    if (start === 'plain' && isPrivate(facts.localAddress)) {
      // The mesh has encrypted it: `sslmode=disable` is what clients of flycast are given.
      return {
        take: 0,
        onTaken: ({ fd }) => openTcp(engine, new TcpChannel(fd), entrance, facts, '', front()),
      }
    }
    if (start !== 'ssl') return 'close' // a start without TLS is not taken on a public address
    return {
      take: PG_REQUEST_BYTES,
      onTaken: ({ fd }) => {
        write(fd, pgAnswer.at(0), 1) // 'S'
        openPeek(engine, fd, facts, front(), lookForHello(engine, entrance, facts))
      },
    }
  }
}

function lookForHello(engine: Engine, entrance: Entrance, facts: ConnectionFacts) {
  return (front: () => PeekFront, bytes: Buffer): Verdict => {
    const hello = parseClientHello(bytes)
    if (hello === 'incomplete') return 'more'
    const code = hello === 'bad' ? 'PT04' : tooOften(engine, facts.clientAddress, hello.serverName)
    if (hello === 'bad' || code !== undefined) {
      engine.counters.tlsFailure(code ?? 'PT04')
      return 'close'
    }
    return { take: 0, onTaken: ({ fd }) => openTls(engine, fd, entrance, facts, hello, front()) }
  }
}

/** Flycast: addresses of the 6PN. */
const isPrivate = (address: string): boolean => address.startsWith('fdaa:')

/** A handshake costs more than a thousand requests: nobody gets them all. */
function tooOften({ handshakesOf, handshakesFor, loop }: Engine, address: string, name: string) {
  if (!handshakesOf.take(groupOf(address), loop.nowMs)) return 'PT01'
  return handshakesFor.take(name, loop.nowMs) ? undefined : 'PT02'
}

/** The client said whom it wants: find the app, its certificate, and who speaks its protocol. */
function openTls(
  engine: Engine,
  fd: number,
  entrance: Entrance,
  facts: ConnectionFacts,
  hello: ClientHello,
  before: Client,
): void {
  const { serverName, alpn } = hello
  const named = entrance.shared ? engine.router.named(entrance, serverName) : entrance
  if (named === undefined) {
    refuseName(engine, fd, before)
    return
  }
  const isChallenge = alpn.includes('acme-tls/1')
  const certificate = isChallenge
    ? engine.certificates.challenge(serverName)
    : engine.certificates.find(serverName, named.defaultSelfSigned)
  if (certificate === undefined) {
    refuseName(engine, fd, before)
    return
  }
  const offered = isChallenge ? ['acme-tls/1'] : named.alpn
  const settings = {
    minVersion: named.tlsMinVersion,
    maxVersion: named.tlsMaxVersion,
    alpn: offered,
  }
  const isHttp2 =
    named.handlers.http && !isChallenge && alpn.includes('h2') && offered.includes('h2')
  const alpnOffered = named.handlers.http
    ? offered.filter((name) => (name === 'h2') === isHttp2)
    : offered
  const context = engine.tlsContexts.get(certificate, { ...settings, alpn: alpnOffered })
  const front = new TlsFront(engine, fd, facts.clientAddress, context, (channel, done) => {
    const secured = { ...facts, tls: { version: channel.version, alpn: isHttp2 ? 'h2' : '' } }
    if (isChallenge) done.finish()
    else if (isHttp2)
      openHttp2(engine, channel, { entrance: named, facts: secured, serverName, before: done })
    else if (named.handlers.http) openHttp1(engine, channel, named, secured, serverName, done)
    else openTcp(engine, channel, named, secured, serverName, done)
  })
  install(engine, fd, front, before)
}

function refuseName(engine: Engine, fd: number, before: Client): void {
  engine.counters.tlsFailure('PT05')
  write(fd, noNameAlert.at(0), 7)
  engine.loop.closeFd(fd)
  engine.clients.remove(before)
}

function openHttp1(
  engine: Engine,
  channel: SocketChannel,
  entrance: Entrance,
  facts: ConnectionFacts,
  serverName: string,
  before: Client | undefined,
): void {
  install(engine, channel.fd, new Http1Client(engine, channel, entrance, facts, serverName), before)
}

function openTcp(
  engine: Engine,
  channel: SocketChannel,
  entrance: Entrance,
  facts: ConnectionFacts,
  serverName: string,
  before: Client | undefined,
): void {
  const client = new TcpClient(engine, channel, entrance, facts, serverName)
  install(engine, channel.fd, client, before)
  client.start()
}
