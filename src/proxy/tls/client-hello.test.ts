import assert from 'node:assert/strict'
import test from 'node:test'
import { connect } from 'node:tls'
import { fc } from '#property'
import { startMachine } from '../proxy.fixture.ts'
import { parseClientHello } from './client-hello.ts'

/** The first flight of a real client. */
async function realHello(options: {
  servername?: string
  ALPNProtocols?: string[]
}): Promise<Buffer> {
  let first: Buffer | undefined
  await using machine = await startMachine((socket) => {
    socket.once('data', (chunk: Buffer) => {
      first = chunk
      socket.destroy()
    })
  })
  const client = connect({
    port: machine.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...options,
  })
  client.on('error', () => undefined)
  await new Promise((resolve) => client.once('close', resolve))
  return first ?? Buffer.alloc(0)
}

test('the name and protocols of a real ClientHello are read; cut anywhere, it asks for more', async () => {
  const hello = await realHello({ servername: 'A.Example', ALPNProtocols: ['h2', 'http/1.1'] })
  assert.deepEqual(parseClientHello(hello), { serverName: 'a.example', alpn: ['h2', 'http/1.1'] })
  for (let end = 0; end < hello.length; end += 1)
    assert.equal(parseClientHello(hello.subarray(0, end)), 'incomplete')
  assert.deepEqual(parseClientHello(await realHello({})), { serverName: '', alpn: [] })
})

test('a ClientHello in several records is read as one', async () => {
  const hello = await realHello({ servername: 'a.example' })
  const message = hello.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += 50) {
    const part = message.subarray(at, at + 50)
    records.push(Buffer.from([22, 3, 1, 0, part.length]), part)
  }
  assert.deepEqual(parseClientHello(Buffer.concat(records)), { serverName: 'a.example', alpn: [] })
})

test('any bytes give a hello, a wait for more, or bad', async () => {
  const hello = await realHello({ servername: 'a.example', ALPNProtocols: ['h2'] })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { maxLength: 8 }),
      (edits) => {
        const bytes = Buffer.from(hello)
        for (const [at, octet] of edits) bytes[at] = octet
        parseClientHello(bytes) // must not throw
      },
    ),
    { numRuns: 2000 },
  )
  assert.equal(parseClientHello(Buffer.from('GET / HTTP/1.1\r\n\r\n')), 'bad')
})
