import assert from 'node:assert/strict'
import test from 'node:test'
import { createLog, pollUntil } from '#base'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { runFlaps } from './run-flaps.ts'

const anywhere = { host: '127.0.0.1', port: 0 }
const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })

test('an instance that ends answers waits with 503, and lets a change that is under way end', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const [host] = world.hosts
  const { address, [Symbol.asyncDispose]: end } = await runFlaps({
    services: world.newServices(),
    listen: anywhere,
    admin: anywhere,
    log,
  })
  const headers = { authorization: world.orgToken() }
  const machine = `${address}/v1/apps/heron/machines/${id}`
  const waiting = fetch(`${machine}/wait?state=destroyed`, { headers })
  await pollUntil('the wait', () => host.waiting === 1, { deadlineMs: 10_000 })
  const goOn = Promise.withResolvers<void>()
  let isStopping = false
  host.before = async (call) => {
    if (call !== 'stop') return
    isStopping = true
    await goOn.promise
  }
  const stopping = fetch(`${machine}/stop`, { method: 'POST', headers })
  await pollUntil('the stop', () => isStopping, { deadlineMs: 10_000 })
  const ended = end()
  const { status } = await waiting
  assert.equal(status, 503)
  goOn.resolve()
  assert.equal((await stopping).status, 200)
  await ended
  await assert.rejects(fetch(machine, { headers }))
})

test('a thousand waits on one machine whose host dies end, none with 502 or 503, and none is left', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const [host] = world.hosts
  const path = `/apps/heron/machines/${id}/wait?state=stopped&timeout=1`
  const waits = Array.from({ length: 1000 }, () => world.call('GET', path))
  await pollUntil('the waits', () => host.waiting === 1000, { deadlineMs: 10_000 })
  const statuses = new Set((await Promise.all(waits)).map(({ status }) => status))
  assert.deepEqual([...statuses], [408])
  assert.equal(host.waiting, 0)
})

test('health and figures are for operators, on an address of their own', async () => {
  await using world = await FlapsWorld.open()
  await using flaps = await runFlaps({
    services: world.newServices(),
    listen: anywhere,
    admin: anywhere,
    log,
  })
  const headers = { authorization: world.orgToken() }
  assert.equal((await fetch(`${flaps.address}/v1/apps/heron`, { headers })).status, 200)
  assert.equal((await fetch(`${flaps.address}/v1/apps/heron`)).status, 401)
  assert.equal((await fetch(`${flaps.adminAddress}/healthz`)).status, 200)
  const figures = await (await fetch(`${flaps.adminAddress}/metrics`)).text()
  assert.match(figures, /flaps_answers_total\{operation="Apps_show",status="200"\} 1/)
  assert.match(figures, /flaps_answers_total\{operation="Apps_show",status="401"\} 1/)
  assert.match(figures, /flaps_calls_in_flight 0/)
  assert.equal((await fetch(`${flaps.address}/metrics`)).status, 404)
})
