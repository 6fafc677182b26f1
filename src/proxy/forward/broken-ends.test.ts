import assert from 'node:assert/strict'
import { connect } from 'node:net'
import test from 'node:test'
import { pollUntil } from '#base'
import { exchange, startMachine, startProxy } from '../proxy.fixture.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'
const DEADLINE = { deadlineMs: 20_000 }

test('a client that ends its direction behind a request still gets the whole answer', async () => {
  const waiting: (() => void)[] = []
  await using machine = await startMachine((socket) => {
    socket.on('data', () => waiting.push(() => socket.write(OK)))
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const answer = exchange(proxy.port, GET, { ends: true })
  await pollUntil('the request', () => waiting.length === 1, DEADLINE)
  waiting[0]?.()
  assert.match(await answer, /^HTTP\/1\.1 200 OK[\s\S]*\r\n\r\nok$/)
})

test('a client that ends its direction in the midst of a body takes its request along', async () => {
  let hasClosed = false
  await using machine = await startMachine((socket) => {
    socket.resume().once('close', () => {
      hasClosed = true
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const half = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf'
  const answer = await exchange(proxy.port, half, { ends: true })
  assert.doesNotMatch(answer, /^HTTP\/1\.1 2/)
  await pollUntil('the machine to be freed', () => hasClosed, DEADLINE)
  assert.equal(proxy.serving.counters.requestsActive, 0)
})

test('a machine that resets a connection under its first request is 502, and is asked once', async () => {
  const heads: string[] = []
  await using machine = await startMachine((socket) => {
    socket.on('data', (head: Buffer) => {
      heads.push(head.toString('latin1').split(' ')[0] ?? '')
      socket.resetAndDestroy()
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  for (const method of ['GET', 'POST']) {
    const text = `${method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
    assert.match(await exchange(proxy.port, text), /^HTTP\/1\.1 502 /)
  }
  assert.deepEqual(heads, ['GET', 'POST'])
  assert.equal(proxy.serving.counters.faults.get('PC03'), 2)
})

test('a machine that ends behind its answer serves nobody else on that connection', async () => {
  let connections = 0
  await using machine = await startMachine((socket) => {
    connections += 1
    socket.once('data', () => socket.end(OK))
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const client = connect(proxy.port, '127.0.0.1')
  let text = ''
  client.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  for (let count = 1; count <= 3; count += 1) {
    client.write(GET)
    await pollUntil(`answer ${count}`, () => text.split('200 OK').length === count + 1, DEADLINE)
  }
  assert.equal(connections, 3)
  client.destroy()
})
