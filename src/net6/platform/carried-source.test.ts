import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import test from 'node:test'
import { fc } from '#property'
import { formatSixPn } from '../six-pn-address.ts'
import {
  type Endpoint,
  parseSource,
  printSource,
  readSource,
  SOURCE_BYTES,
} from './carried-source.ts'
import { RelayLimits } from './relay-limits.ts'

const field = fc.nat(0xffff_ffff)
const endpoint = fc.record({
  address: fc
    .record({ network: field, host: field, machine: field, low: fc.nat(0xffff) })
    .map(formatSixPn),
  port: fc.nat(0xffff),
})

test('who opened a connection is read as it was written', () => {
  fc.assert(
    fc.property(endpoint, endpoint, (source, target) => {
      const bytes = printSource(source, target)
      assert.equal(bytes.length, SOURCE_BYTES)
      assert.deepEqual(parseSource(bytes), { ...source })
    }),
  )
  const target = { address: 'fdaa::3', port: 4280 }
  const sample = printSource({ address: 'fdaa:0:7:a7b:1:0:a:2', port: 50_000 }, target)
  assert.equal(
    sample.toString('hex'), // as the specification lays it out
    '0d0a0d0a000d0a515549540a21210024fdaa000000070a7b00010000000a0002fdaa0000000000000000000000000003c35010b8',
  )
})

test('anything else is refused', () => {
  const good = printSource({ address: 'fdaa::2', port: 1 }, { address: 'fdaa::3', port: 2 })
  for (const at of [0, 11, 12, 13, 15]) {
    const bad = Buffer.from(good)
    bad.writeUInt8(bad.readUInt8(at) ^ 1, at)
    assert.throws(() => parseSource(bad), { code: 'net6.source_bad' }, `byte ${at}`)
  }
  assert.throws(() => parseSource(good.subarray(1)), { code: 'net6.source_bad' })
})

test('what follows it in a connection stays there, however the bytes are cut', async (t) => {
  const seen = Promise.withResolvers<{ source: Endpoint; rest: string }>()
  const server = createServer(async (socket: Socket) => {
    const source = await readSource(socket)
    let rest = ''
    for await (const piece of socket) rest += piece
    seen.resolve({ source, rest })
  })
  t.after(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const socket = connect(typeof bound === 'object' ? (bound?.port ?? 0) : 0, '127.0.0.1')
  socket.setNoDelay(true)
  const source = { address: 'fdaa:0:7:a7b:1:0:a:2', port: 50_000 }
  const bytes = Buffer.concat([printSource(source, source), Buffer.from('GET / and so on')])
  for (const [from, to] of [
    [0, 5],
    [5, 55],
    [55, 80],
  ] as const) {
    await new Promise((done) => socket.write(bytes.subarray(from, to), done))
  }
  socket.end()
  assert.deepEqual(await seen.promise, { source, rest: 'GET / and so on' })
})

test('a machine has its share of connections, a network its own, and a place that is given back is free', () => {
  const limits = new RelayLimits({ connections: 5, perNetwork: 3, perMachine: 2 })
  const first = limits.take('fdaa:0:7:a7b:1:0:1:2')
  assert(first && limits.take('fdaa:0:7:a7b:1:0:1:9'))
  assert.equal(limits.take('fdaa:0:7:a7b:1:0:1:a'), undefined, 'another address of the machine')
  assert(limits.take('fdaa:0:7:a7b:1:0:2:2'))
  assert.equal(limits.take('fdaa:0:7:a7b:1:0:3:2'), undefined, 'the network has its share')
  assert(limits.take('fdaa:0:8:a7b:1:0:1:2') && limits.take('fdaa:0:9:a7b:1:0:1:2'))
  assert.equal(limits.take('fdaa:0:a:a7b:1:0:1:2'), undefined, 'there are no more at all')
  first()
  assert.equal(limits.open, 4)
  assert(limits.take('fdaa:0:7:a7b:1:0:3:2'))
})
