/** Real WireGuard through a WebSocket, by the framing of the stock client. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { connect } from 'node:tls'
import { WebSocket } from 'ws'
import { createLog, pollUntil, systemClock } from '#base'
import { openHostNetwork } from '../host-network.ts'
import { peerAddress } from '../six-pn-address.ts'
import { openSystem } from '../system.ts'
import { enterOwnHost } from '../trial/own-host.ts'
import { TRIAL_HOST } from '../trial-host.fixture.ts'
import { DatagramReader, datagramFrame, STREAM_MAGIC } from './datagram-stream.ts'
import { PeerGateway } from './peer-gateway.ts'
import { person, platformOf } from './person.fixture.ts'
import { openWebSocketEnd } from './web-socket-end.ts'

enterOwnHost()

const DEADLINE = { deadlineMs: 60_000, intervalMs: 50 }
const PORT = 51_831
const log = createLog({ part: 'net6', level: 'fatal' })

/** What the folder had of these is replaced, a file after the other. */
function putSelfSigned(folder: string, name: string) {
  const [keyFile, certFile] = [join(folder, 'key'), join(folder, 'cert')]
  const words = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
  ]
  const out = ['-keyout', `${keyFile}.new`, '-out', `${certFile}.new`]
  execFileSync('openssl', [...words, '-subj', `/CN=${name}`, ...out], { stdio: 'ignore' })
  for (const file of [keyFile, certFile]) renameSync(`${file}.new`, file)
  return { keyFile, certFile }
}

async function openEnd(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-ws-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const system = openSystem()
  const programs = await openHostNetwork({ system, host: TRIAL_HOST })
  const gateway = await PeerGateway.open({ system, programs, folder, host: TRIAL_HOST, port: PORT })
  const listen = { host: '127.0.0.1', port: 0 }
  const tls = putSelfSigned(folder, 'gateway')
  const around = { clock: systemClock, log }
  const end = await openWebSocketEnd({ listen, tls, peerPort: PORT, ...around })
  t.after(() => end[Symbol.asyncDispose]())
  return { gateway, system, folder, port: end.port, url: `wss://127.0.0.1:${end.port}/` }
}

async function connected(url: string): Promise<WebSocket> {
  const options = { rejectUnauthorized: false, perMessageDeflate: false, skipUTF8Validation: true }
  const socket = new WebSocket(url, { ...options, origin: url })
  await once(socket, 'open')
  return socket
}

/** What the stock client does: a UDP port for WireGuard, and behind it the stream. @returns the port */
async function bridge(t: TestContext, url: string, seen: { binary: number; text: number }) {
  const udp = createSocket('udp4')
  t.after(() => udp.close())
  await new Promise<void>((resolve) => udp.bind(0, '192.0.2.1', resolve))
  let wireguard: { port: number; address: string } | undefined
  let socket: WebSocket
  const dial = async () => {
    socket = await connected(url)
    const reader = new DatagramReader({ awaitsMagic: false })
    const magic = Buffer.alloc(4)
    magic.writeUInt32BE(STREAM_MAGIC)
    socket.send(magic, { binary: false })
    socket.on('message', (data: Buffer, isBinary) => {
      seen[isBinary ? 'binary' : 'text'] += 1
      for (const datagram of reader.push(data)) {
        if (wireguard !== undefined) udp.send(datagram, wireguard.port, wireguard.address)
      }
    })
  }
  udp.on('message', (datagram, from) => {
    wireguard = from
    if (socket.readyState !== WebSocket.OPEN) return
    const frame = datagramFrame(datagram)
    const middle = frame.length >> 1 // a frame of the socket is no frame of the stream
    socket.send(frame.subarray(0, middle), { binary: false })
    socket.send(Buffer.concat([frame.subarray(middle), Buffer.alloc(4)]), { binary: false })
  })
  await dial()
  t.after(() => socket.terminate())
  const redial = async () => {
    socket.terminate()
    await dial()
  }
  return { port: udp.address().port, redial }
}

test('WireGuard works through the WebSocket, and its session outlives the connection', async (t) => {
  const { gateway, system, url } = await openEnd(t)
  const shell = async (script: string) => (await system.run('sh', ['-ec', script])).stdout
  const own = { system, pid: String(process.pid), folder: '', shell }
  const bird = await person(t, own, 1)
  const address = peerAddress(7, TRIAL_HOST, 0)
  const row = { public_key: bird.key.publicKey, network_id: 7, peer_ip: address, created_at: 1 }
  await gateway.setPeers([row])
  const seen = { binary: 0, text: 0 }
  const { port, redial } = await bridge(t, url, seen)
  assert.equal(seen.text, 0, 'nothing comes before the first datagram')
  await bird.joins(address, gateway.publicKey, `192.0.2.1:${port}`)
  const isReached = () => bird.pings(platformOf(address))
  await pollUntil('a ping through the WebSocket', isReached, DEADLINE)
  assert.ok(await bird.pings(platformOf(address), '-M do -s 1372'), 'the largest packet')
  const before = (await gateway.links())?.peers[0]
  await redial()
  await pollUntil('a ping through another one', isReached, DEADLINE)
  const after = (await gateway.links())?.peers[0]
  assert.notEqual(after?.endpoint, before?.endpoint)
  assert.equal(after?.handshakeMs, before?.handshakeMs, 'the same session')
  assert.ok(seen.text > 0 && seen.binary === 0)
})

test('who speaks something else is put through to nobody', async (t) => {
  const { url } = await openEnd(t)
  for (const text of ['hello', '\x2f\xac\xec\x77\xff\xff\xff\xff']) {
    const socket = await connected(url)
    const closed = once(socket, 'close')
    socket.send(Buffer.from(text, 'latin1'), { binary: false })
    assert.equal((await closed)[0], 1003)
  }
  const plain = await fetch(url.replace('wss', 'http')).catch(() => undefined)
  assert.equal(plain, undefined, 'no plain HTTP')
})

test('who comes after the certificate was replaced sees the new one, and who is there stays connected', async (t) => {
  const { folder, port, url } = await openEnd(t)
  const before = await connected(url)
  t.after(() => before.terminate())
  const shown = async () => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const { subject } = socket.getPeerCertificate()
    socket.destroy()
    return subject.CN
  }
  assert.equal(await shown(), 'gateway')
  putSelfSigned(folder, 'renewed')
  await pollUntil('the new certificate', async () => (await shown()) === 'renewed', DEADLINE)
  const pong = once(before, 'pong')
  before.ping()
  await pong
})
