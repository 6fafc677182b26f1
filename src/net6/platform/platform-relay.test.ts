/** In a host of its own, whose loopback has the addresses of machines. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import test, { type TestContext } from 'node:test'
import { createLog, pollUntil } from '#base'
import { openSystem } from '../system.ts'
import { enterOwnHost } from '../trial/own-host.ts'
import { readSource } from './carried-source.ts'
import { PlatformRelay } from './platform-relay.ts'
import type { RelayLimitSizes } from './relay-limits.ts'

const log = createLog({ part: 'net6', level: 'fatal' })
const DEADLINE = { deadlineMs: 20_000 }
const NETWORK_ADDRESS = 'fdaa::4'
const MACHINE = 'fdaa:0:7:a7b:1:0:1:2'
const OTHER_MACHINE = 'fdaa:0:8:a7b:1:0:2:2'
const [NEAR, FAR, GONE] = ['fdaa:a7b:1::1', 'fdaa:a7b:2::1', 'fdaa:a7b:3::1']
const GATEWAY_PORT = 14_284

enterOwnHost()

async function addresses(): Promise<void> {
  const all = [NETWORK_ADDRESS, MACHINE, OTHER_MACHINE, NEAR, FAR]
  const lines = all.map((one) => `address replace ${one}/128 dev lo nodad\n`)
  const input = `link set lo up\nroute replace unreachable fdaa::/16 dev lo metric 65535\n${lines.join('')}`
  await openSystem().run('ip', ['-6', '-batch', '-'], { input })
}

/** Says where it stands and who asks, then gives back what it hears, until it hears the end. */
async function gateway(t: TestContext, host: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, async (socket: Socket) => {
    socket.on('error', () => socket.destroy())
    const { address } = await readSource(socket)
    socket.write(`${host} sees ${address}: `)
    socket.pipe(socket)
  })
  server.listen(GATEWAY_PORT, host)
  await once(server, 'listening')
  t.after(() => server.close())
  return server
}

async function relayTo(t: TestContext, gateways: readonly string[], limits?: RelayLimitSizes) {
  const relay = await PlatformRelay.open({
    ...{ addresses: [NETWORK_ADDRESS], services: [{ port: 0, gatewayPort: GATEWAY_PORT }] },
    ...{ gateways: () => gateways, log, ...(limits === undefined ? {} : { limits }) },
  })
  t.after(() => relay[Symbol.asyncDispose]())
  const [port = 0] = relay.ports
  const open = async (from: string): Promise<Socket> => {
    const socket = connect({ host: NETWORK_ADDRESS, port, localAddress: from, allowHalfOpen: true })
    t.after(() => socket.destroy())
    await once(socket, 'connect')
    return socket
  }
  /** All that comes back. */
  const ask = async (from: string, text: string): Promise<string> => {
    const socket = await open(from)
    socket.end(text)
    let read = ''
    for await (const piece of socket) read += piece
    return read
  }
  return { relay, open, ask }
}

test('a machine’s connection is joined with the nearest gateway that answers, which is told who asks', async (t) => {
  await addresses()
  const [near] = [await gateway(t, NEAR), await gateway(t, FAR)]
  const { relay, ask } = await relayTo(t, [GONE, NEAR, FAR])
  const large = 'x'.repeat(300_000)
  assert.equal(await ask(MACHINE, large), `${NEAR} sees ${MACHINE}: ${large}`)
  assert.equal(await ask(OTHER_MACHINE, 'hello'), `${NEAR} sees ${OTHER_MACHINE}: hello`)
  near.close()
  await once(near, 'close')
  assert.equal(await ask(MACHINE, 'hello'), `${FAR} sees ${MACHINE}: hello`)
  assert.equal(relay.outcomes.handed_on, 3)
  await pollUntil('their end', () => relay.open === 0, DEADLINE)
})

test('the host itself, and whoever has his share, are refused; with no gateway the connection ends', async (t) => {
  await addresses()
  await gateway(t, NEAR)
  const { relay, open, ask } = await relayTo(t, [NEAR], {
    ...{ connections: 10, perNetwork: 10, perMachine: 1 },
  })
  for (const stranger of [NETWORK_ADDRESS, FAR]) {
    await assert.rejects(ask(stranger, ''), { code: 'ECONNRESET' })
  }
  const held = await open(MACHINE)
  await pollUntil('its place', () => relay.open === 1, DEADLINE)
  await assert.rejects(ask(MACHINE, ''), { code: 'ECONNRESET' })
  assert.match(await ask(OTHER_MACHINE, 'hello'), /hello$/)
  held.resetAndDestroy()
  await pollUntil('the place', () => relay.open === 0, DEADLINE)
  assert.match(await ask(MACHINE, 'hello'), /hello$/)
  const cutOff = await relayTo(t, [GONE])
  await assert.rejects(cutOff.ask(MACHINE, 'hello'), { code: 'ECONNRESET' })
  const { stranger, too_many: tooMany } = relay.outcomes
  assert.deepEqual([stranger, tooMany, cutOff.relay.outcomes.no_gateway], [2, 1, 1])
})

test('the end of the relay ends its connections', async (t) => {
  await addresses()
  await gateway(t, NEAR)
  const { relay, open } = await relayTo(t, [NEAR])
  const socket = await open(MACHINE)
  await once(socket, 'data')
  const ended = once(socket, 'end')
  await relay[Symbol.asyncDispose]()
  await ended
  assert.equal(relay.open, 0)
})
