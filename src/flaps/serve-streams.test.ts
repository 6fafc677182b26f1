import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import test, { type TestContext } from 'node:test'
import { createLog, pollUntil } from '#base'
import { FlapsClient } from '#flaps-client'
import { refuse } from '#flyd'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { runFlaps } from './run-flaps.ts'

const anywhere = { host: '127.0.0.1', port: 0 }
const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })

async function open(t: TestContext) {
  const world = await FlapsWorld.open()
  const flaps = await runFlaps({
    ...{ services: world.newServices(), listen: anywhere, admin: anywhere, log },
  })
  const client = new FlapsClient({ url: flaps.address, token: world.orgToken() })
  t.after(async () => {
    client[Symbol.dispose]()
    await flaps[Symbol.asyncDispose]()
    await world[Symbol.asyncDispose]()
  })
  const { id } = await world.newMachine()
  return { world, flaps, client, id }
}

test('a stream carries bytes both ways to its end, and stands in the audit log', async (t) => {
  const { world, client, id } = await open(t)
  const stream = await client.connect('heron', id, 5432)
  const sent = 'a line\n'.repeat(50_000)
  stream.end(sent)
  assert.equal(await text(stream), sent)
  const entry = world.directory.audit.find(({ operation }) => operation === 'Machines_connect')
  assert.equal(entry?.status, 101)
  assert.equal(entry?.appName, 'heron')
})

test('a stream is refused as a call is: by token, by machine, by port, by host', async (t) => {
  const { world, flaps, client, id } = await open(t)
  const [host] = world.hosts
  await assert.rejects(client.connect('heron', 'ffffffffffffff', 22), { code: 'api.not_found' })
  await assert.rejects(client.connect('tern', id, 22), { code: 'api.not_found' })
  await assert.rejects(client.connect('heron', id, 70_000), { code: 'api.refused' })
  host.before = (call) => {
    if (call === 'connect') throw refuse('flyd.state_bad', 'failed_precondition: nothing listens')
  }
  await assert.rejects(client.connect('heron', id, 81), /nothing listens/)
  using stranger = new FlapsClient({ url: flaps.address, token: 'FlyV1 fm2_none' })
  await assert.rejects(
    stranger.connect('heron', id, 22),
    (error: { traits?: { status: number } }) => {
      return error.traits?.status === 401
    },
  )
})

test('an offer of another protocol is passed over, and the request answered', async (t) => {
  const { world, flaps, id } = await open(t)
  const { request } = await import('node:http')
  const headers = {
    ...{ connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': '' },
    authorization: world.orgToken(),
  }
  const status = await new Promise((resolve, reject) =>
    request(`${flaps.address}/v1/apps/heron/machines/${id}`, { headers, agent: false })
      .on('response', (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end(),
  )
  assert.equal(status, 200)
})

test('a server that ends cuts its streams, and does not wait for them', async (t) => {
  const { world, id } = await open(t)
  const flaps = await runFlaps({
    ...{ services: world.newServices(), listen: anywhere, admin: anywhere, log },
  })
  using client = new FlapsClient({ url: flaps.address, token: world.orgToken() })
  const stream = await client.connect('heron', id, 5432)
  let isClosed = false
  stream.on('error', () => undefined)
  stream.once('close', () => {
    isClosed = true
  })
  stream.resume()
  await flaps[Symbol.asyncDispose]()
  await pollUntil('the end of the stream', () => isClosed, { deadlineMs: 20_000 })
})
