import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { FlapsClient } from './flaps-client.ts'

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void

/** A client of a server that answers as it is told, and how often it was asked. */
async function against(t: TestContext, handler: Handler) {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    request.resume()
    handler(request, response, seen.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = new FlapsClient({ url: `http://127.0.0.1:${port}`, token: 'fm2_x' })
  t.after(() => {
    client[Symbol.dispose]()
    server.closeAllConnections()
    server.close()
  })
  return { client, seen }
}

const json = (response: ServerResponse, status: number, body: unknown, headers = {}) =>
  void response.writeHead(status, headers).end(JSON.stringify(body))

test('a call carries the token with its scheme, the query and the nonce', async (t) => {
  const { client, seen } = await against(t, (_, response) => json(response, 200, { ok: true }))
  const machines = client.machines('my app')
  await machines.wait('m1', { states: ['started', 'stopped'], timeoutMs: 2_500 })
  await machines.start('m1', { nonce: 'abc' })
  assert.equal(
    seen[0]?.url,
    '/v1/apps/my%20app/machines/m1/wait?state=started&state=stopped&timeout=3',
  )
  assert.equal(seen[0]?.headers.authorization, 'FlyV1 fm2_x')
  assert.equal(seen[1]?.headers['fly-machine-lease-nonce'], 'abc')
})

test('503 is sent again, whatever the method: nothing was done', async (t) => {
  const { client, seen } = await against(t, (_, response, count) =>
    count < 3
      ? json(response, 503, { error: 'unavailable: host' })
      : json(response, 200, { id: 'm1' }),
  )
  assert.equal((await client.machines('a').create({ config: {} })).id, 'm1')
  assert.equal(seen.length, 3)
})

test('a change whose answer was lost is not sent again; a read is', async (t) => {
  const { client, seen } = await against(t, (request, response, count) => {
    if (count === 1 || request.method === 'POST') request.socket.destroy()
    else json(response, 200, [])
  })
  assert.deepEqual(await client.machines('a').list(), [])
  assert.equal(seen.length, 2)
  await assert.rejects(client.machines('a').stop('m1'), { code: 'api.unreachable' })
  assert.equal(seen.length, 3)
})

test('a refusal keeps the words, the label and the request of the server', async (t) => {
  const { client } = await against(t, (_, response) =>
    json(
      response,
      422,
      { error: 'could not find a candidate host', status: 'insufficient_capacity' },
      { 'fly-request-id': 'req-1' },
    ),
  )
  await assert.rejects(client.machines('a').create({ config: {} }), {
    code: 'api.refused',
    what: 'could not find a candidate host',
    values: {
      status: 422,
      call: 'POST /v1/apps/a/machines',
      label: 'insufficient_capacity',
      request: 'req-1',
    },
  })
})

test('each status has its code', async (t) => {
  const { client } = await against(t, (request, response) =>
    json(response, Number(request.url?.split('/').at(-1)), { error: 'x' }),
  )
  const codes = {
    400: 'api.refused',
    401: 'api.unauthenticated',
    403: 'api.forbidden',
    404: 'api.not_found',
    408: 'api.not_reached',
    409: 'api.conflict',
    412: 'api.state_bad',
    500: 'api.failed',
  }
  for (const [status, code] of Object.entries(codes)) {
    await assert.rejects(client.app(status), { code })
  }
})

test('what is gone is no failure to destroy or to give back', async (t) => {
  const { client } = await against(t, (_, response) => json(response, 404, { error: 'not found' }))
  await client.machines('a').destroy('m1', { force: true })
  await client.machines('a').release('m1', 'nonce')
  assert.equal(await client.machines('a').currentLease('m1'), undefined)
})

test('what is no Machines API is told as such', async (t) => {
  const { client } = await against(t, (_, response) => void response.end('<html>welcome</html>'))
  await assert.rejects(client.app('a'), { code: 'api.answer_bad', message: /--api/ })
})

test('nobody there, or no address at all, says where it looked', async () => {
  using client = new FlapsClient({ url: 'http://127.0.0.1:1', token: 'x' })
  await assert.rejects(client.app('a', { deadlineMs: 300 }), {
    code: 'api.unreachable',
    message: /ECONNREFUSED/,
  })
  assert.throws(() => new FlapsClient({ url: 'here', token: 'x' }), { code: 'api.unreachable' })
})

test('a server that does not answer ends with the deadline', async (t) => {
  const { client } = await against(t, () => undefined)
  await assert.rejects(client.app('a', { deadlineMs: 200 }), { code: 'api.timed_out' })
})
