import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import test, { type TestContext } from 'node:test'
import { createLog, unlessAborted } from '#base'
import { refuse } from '../errors.ts'
import { type AskApi, type MachineRequest, serveApiSocket } from './serve-api-socket.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })

/** A socket file in place of that in a machine: what connects to it the agent accepts. */
async function socketFor(t: TestContext, ask: AskApi) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-api-socket-'))
  const socketPath = join(folder, 'api')
  const connected: Socket[] = []
  const waiting: ((socket: Socket) => void)[] = []
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    const next = waiting.shift()
    if (next === undefined) connected.push(socket)
    else next(socket)
  })
  listener.listen(socketPath)
  await once(listener, 'listening')
  const ending = new AbortController()
  const accept = async (): Promise<Socket> => {
    const known = connected.shift()
    if (known !== undefined) return known
    const { promise, resolve } = Promise.withResolvers<Socket>()
    waiting.push(resolve)
    return await unlessAborted(promise, ending.signal)
  }
  const serving = serveApiSocket(
    { machine: '148ed599c14189', agent: { accept }, signal: ending.signal },
    { ask, log },
  )
  t.after(async () => {
    ending.abort(new Error('the test is over'))
    await serving
    listener.close()
    rmSync(folder, { recursive: true })
  })
  return async (method: string, path: string, body = '', headers = {}) => {
    const request = httpRequest({
      socketPath,
      method,
      path,
      headers: { host: 'flaps', ...headers },
    })
    request.end(body)
    const [response] = await once(request, 'response')
    return { status: response.statusCode as number, body: await text(response), response }
  }
}

test('a request by the socket is asked for the machine, and its answer given back', async (t) => {
  const asked: MachineRequest[] = []
  const call = await socketFor(t, async (machine, request) => {
    asked.push(request)
    return { status: 201, headers: { 'content-type': 'text/plain' }, body: machine }
  })
  const headers = { 'fly-machine-lease-nonce': 'abc', authorization: 'Bearer of-somebody-else' }
  const reply = await call('POST', '/v1/tokens/oidc?a=b', '{"aud":"x"}', headers)
  assert.deepEqual([reply.status, reply.body], [201, '148ed599c14189'])
  assert.equal(reply.response.headers.connection, 'close')
  const request = { method: 'POST', path: '/v1/tokens/oidc?a=b', body: '{"aud":"x"}' }
  assert.deepEqual(asked, [{ ...request, leaseNonce: 'abc' }])
})

test('twenty at once are all answered', async (t) => {
  const call = await socketFor(t, async (_machine, { path }) => ({
    ...{ status: 200, headers: {}, body: path },
  }))
  const paths = Array.from({ length: 20 }, (_, at) => `/v1/${at}`)
  const replies = await Promise.all(paths.map((path) => call('GET', path)))
  assert.deepEqual(
    replies.map(({ body }) => body),
    paths,
  )
})

test('what cannot be asked is an error in the words of the API, and a body is bounded', async (t) => {
  const call = await socketFor(t, async () => {
    throw refuse('flyd.host_unreached', 'unavailable: no gateway answers')
  })
  const reply = await call('GET', '/v1/apps')
  assert.equal(reply.status, 503)
  assert.deepEqual(JSON.parse(reply.body), { error: 'unavailable: no gateway answers' })
  const huge = await call('POST', '/v1/apps', 'x'.repeat(300_000))
  assert.equal(huge.status, 400)
})
