import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ApiClient } from './api-client.ts'
import { connectVsock } from './vsock.ts'

/** A unix socket whose every connection goes to `serve`, with its number from 0. */
async function listen(t: TestContext, serve: (socket: Socket, index: number) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-fc-'))
  const sockets = new Set<Socket>()
  let count = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => sockets.delete(socket))
    serve(socket, count)
    count += 1
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const path = join(folder, 'x.sock')
  server.listen(path)
  await once(server, 'listening')
  return { path, connections: () => count }
}

const HEAD = 'Server: Firecracker API\r\nConnection: keep-alive\r\n'
const NO_CONTENT = `HTTP/1.1 204 \r\n${HEAD}\r\n`
const answer = (status: number, body: string) =>
  `HTTP/1.1 ${status} \r\n${HEAD}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const GET_INFO = { method: 'GET', path: '/' } as const
const PAUSE = { method: 'PATCH', path: '/vm', body: { state: 'Paused' } } as const

test('answers with an empty reason phrase are read, and one connection serves many requests', async (t) => {
  const { path, connections } = await listen(t, (socket) => {
    socket.on('data', (bytes) => {
      socket.write(bytes.includes('GET') ? answer(200, '{"state":"Running"}') : NO_CONTENT)
    })
  })
  using client = new ApiClient(path)
  assert.deepEqual(await client.send(GET_INFO), { state: 'Running' })
  assert.deepEqual(await Promise.all([client.send(PAUSE), client.send(PAUSE)]), [
    undefined,
    undefined,
  ])
  assert.equal(connections(), 1)
})

test('after an error of its HTTP layer the connection is given up', async (t) => {
  const bad =
    '{ "error": "Invalid HTTP Method.\nAll previous unanswered requests will be dropped." }'
  const { path, connections } = await listen(t, (socket, index) => {
    socket.on('data', () => socket.write(index === 0 ? answer(400, bad) : NO_CONTENT))
  })
  using client = new ApiClient(path)
  await assert.rejects(client.send(PAUSE), { code: 'guest.vmm_refused' })
  await client.send(PAUSE)
  assert.equal(connections(), 2)
})

test('silence ends at the deadline, and a closed or missing socket is told as gone', async (t) => {
  const silent = await listen(t, () => undefined)
  using waiting = new ApiClient(silent.path)
  await assert.rejects(waiting.send(GET_INFO, { deadlineMs: 50 }), {
    code: 'base.deadline_exceeded',
  })
  const closing = await listen(t, (socket) => socket.destroy())
  using cut = new ApiClient(closing.path)
  await assert.rejects(cut.send(GET_INFO), { code: 'guest.vmm_gone' })
  using missing = new ApiClient('/nonexistent/x.sock')
  await assert.rejects(missing.send(GET_INFO), { code: 'guest.vmm_gone' })
})

test('a guest that is silent, then closes, then listens is reached, and no byte of it is lost', async (t) => {
  const said: string[] = []
  const { path } = await listen(t, (socket, index) => {
    if (index === 1) socket.destroy()
    if (index !== 2) return
    socket.once('data', (bytes) => {
      said.push(bytes.toString())
      socket.write('OK 10737')
      socket.write('41824\nfirst bytes')
    })
  })
  const channel = await connectVsock(path, 10_000, { attemptMs: 100, deadlineMs: 10_000 })
  const [bytes] = await once(channel, 'data')
  assert.equal(String(bytes), 'first bytes')
  assert.deepEqual(said, ['CONNECT 10000\n'])
  channel.destroy()
})

test('an answer that is no OK is refused without another attempt', async (t) => {
  const { path, connections } = await listen(t, (socket) => socket.write(`${'x'.repeat(40)}`))
  await assert.rejects(connectVsock(path, 10_000, { deadlineMs: 5_000 }), {
    code: 'guest.vmm_answer_bad',
  })
  assert.equal(connections(), 1)
})

test('a guest that never answers ends at the deadline', async (t) => {
  const { path } = await listen(t, () => undefined)
  await assert.rejects(connectVsock(path, 10_000, { attemptMs: 20, deadlineMs: 200 }), {
    code: 'base.deadline_exceeded',
  })
})

test('where no Firecracker listens, the guest is given up at once', async () => {
  await assert.rejects(connectVsock('/nonexistent/v.sock'), { code: 'guest.vmm_gone' })
})
