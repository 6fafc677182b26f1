import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import test from 'node:test'
import { apiProxyCommand } from './api-proxy.ts'

test('the API is served here with the token put in, and web pages are refused', async (t) => {
  const asked: string[] = []
  const api = createServer(async (incoming, response) => {
    const body = await text(incoming)
    asked.push(`${incoming.method} ${incoming.url} ${incoming.headers.authorization} ${body}`)
    response.writeHead(201, { 'content-type': 'application/json' }).end('{"id":"m"}')
  })
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  const stop = new AbortController()
  t.after(() => {
    stop.abort()
    api.closeAllConnections()
    api.close()
  })
  const { port } = api.address() as AddressInfo
  const listening = Promise.withResolvers<string>()
  const command = apiProxyCommand(
    (line) => listening.resolve(JSON.parse(line).url),
    () => stop.signal,
  )
  const where = ['--api', `http://127.0.0.1:${port}`, '--access-token', 'fm2_x']
  const running = command.parseAsync(['--bind-addr', '127.0.0.1:0', '--json', ...where], {
    from: 'user',
  })
  const url = await listening.promise
  const ask = (headers: Record<string, string>) =>
    new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      const call = request(
        `${url}/v1/apps?x=1`,
        { method: 'POST', headers, agent: false },
        (response) =>
          text(response).then((body) => resolve({ status: response.statusCode, body }), reject),
      )
      call.once('error', reject).end('{"name":"web"}')
    })
  assert.equal((await ask({ origin: 'https://evil.example' })).status, 403)
  assert.deepEqual(asked, [])
  const made = await ask({ authorization: 'Bearer other' })
  assert.deepEqual(made, { status: 201, body: '{"id":"m"}' })
  assert.deepEqual(asked, ['POST /v1/apps?x=1 FlyV1 fm2_x {"name":"web"}'])
  stop.abort()
  await running
})
