import assert from 'node:assert/strict'
import test from 'node:test'
import { pollUntil } from '#base'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { StillClock } from './fixture/still-clock.ts'

const machines = '/apps/heron/machines'
const nonceHeader = (nonce: string) => ({ 'fly-machine-lease-nonce': nonce })

test('a wait answers at once when the machine is there, with state, version and event', async () => {
  await using world = await FlapsWorld.open()
  const { id, instance_id: version } = await world.newMachine()
  const { status, body } = await world.call('GET', `${machines}/${id}/wait?timeout=60`)
  assert.equal(status, 200)
  assert.deepEqual([body.ok, body.state, body.version], [true, 'started', version])
  assert.match(body.event_id, /^[0-9A-Z]{26}$/)
})

test('states may be repeated or have commas between, and the first that is reached answers', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  for (const query of ['state=stopped&state=started', 'state=stopped,started', 'state=settled']) {
    const { body } = await world.call('GET', `${machines}/${id}/wait?${query}`)
    assert.equal(body.state, 'started')
  }
})

test('a time outside of one to sixty seconds is refused with the documented text', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  for (const timeout of ['0', '61', '-1']) {
    const { status, body } = await world.call('GET', `${machines}/${id}/wait?timeout=${timeout}`)
    assert.equal(status, 400)
    assert.equal(
      body.error,
      'invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]',
    )
  }
  for (const query of ['timeout=abc', 'state=happy', 'version=1', 'from_event_id=x']) {
    assert.equal((await world.call('GET', `${machines}/${id}/wait?${query}`)).status, 400, query)
  }
})

test('a state that is not reached in time is 408, and a wait of a minute ends before proxies cut it', async () => {
  const clock = new StillClock()
  await using world = await FlapsWorld.open({ clock })
  const { id } = await world.newMachine()
  const waiting = world.call('GET', `${machines}/${id}/wait?state=stopped`)
  const [host] = world.hosts
  await pollUntil('the wait to begin', () => host.waiting === 1, { deadlineMs: 5_000 })
  clock.advance(57_000)
  const { status, body } = await waiting
  assert.equal(status, 408)
  assert.equal(
    body.error,
    'deadline_exceeded: machine failed to reach desired state, stopped, currently started',
  )
})

test('a wait from the last event on sleeps until the next one', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const { body } = await world.call('GET', `${machines}/${id}/wait`)
  const path = `${machines}/${id}/wait?state=started&from_event_id=${body.event_id}`
  const waiting = world.call('GET', path)
  await pollUntil('the wait to begin', () => world.hosts[0].waiting === 1, { deadlineMs: 5_000 })
  await world.call('POST', `${machines}/${id}/restart`)
  const next = await waiting
  assert.equal(next.body.state, 'started')
  assert.notEqual(next.body.event_id, body.event_id)
})

test('a wait for a version that was replaced says so', async () => {
  await using world = await FlapsWorld.open()
  const { id, instance_id: old } = await world.newMachine()
  await world.call('POST', `${machines}/${id}`, { body: { config: { image: 'nginx:2' } } })
  for (const parameter of ['version', 'instance_id']) {
    const path = `${machines}/${id}/wait?state=stopped&${parameter}=${old}`
    const { status, body } = await world.call('GET', path)
    assert.equal(status, 409)
    assert.match(body.error, /currently replaced/)
  }
})

test('a destroyed machine answers a wait for its end, an unknown one is not found', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  await world.call('DELETE', `${machines}/${id}?force=true`)
  assert.equal((await world.call('GET', `${machines}/${id}/wait?state=destroyed`)).status, 200)
  const unknown = await world.call('GET', `${machines}/00000000000000/wait`)
  assert.deepEqual([unknown.status, unknown.body.error], [404, 'not_found: machine not found'])
})

test('a lease is taken once, shown to all, prolonged with its nonce, and given back', async () => {
  const clock = new StillClock()
  await using world = await FlapsWorld.open({ clock })
  const { id, instance_id: version } = await world.newMachine()
  const path = `${machines}/${id}/lease`
  const none = await world.call('GET', path)
  assert.deepEqual([none.status, none.body.error], [404, 'not_found: lease not found'])
  const body = { ttl: 10, description: 'deploy' }
  const taken = await world.call('POST', `${path}?ttl=60`, { body })
  assert.equal(taken.status, 201)
  const { nonce, ...lease } = taken.body.data
  assert.match(nonce, /^[0-9a-f]{12}$/)
  const expiresAt = clock.nowMs() / 1000 + 60
  assert.equal(taken.body.status, 'success')
  assert.equal(lease.expires_at, expiresAt, 'the query is asked before the body')
  assert.deepEqual([lease.description, lease.version], ['deploy', version])
  assert.match(lease.owner, /@/)
  const second = await world.call('POST', path)
  assert.equal(second.status, 409)
  assert.match(second.body.error, /lease currently held by .*, expires at 2026-11-24T00:01:00Z$/)
  clock.advance(30_000)
  const renewed = await world.call('POST', `${path}?ttl=60`, { headers: nonceHeader(nonce) })
  assert.deepEqual([renewed.body.data.nonce, renewed.body.data.expires_at], [nonce, expiresAt + 30])
  assert.equal((await world.call('DELETE', path)).status, 400)
  assert.equal((await world.call('DELETE', path, { headers: nonceHeader('0') })).status, 409)
  const released = await world.call('DELETE', path, { headers: nonceHeader(nonce) })
  assert.deepEqual(released.body, { status: 'success', data: { ok: true } })
  const gone = await world.call('DELETE', path, { headers: nonceHeader(nonce) })
  assert.equal(gone.status, 404)
  assert.match(gone.body.error, / lease not found/)
})

test("a lease that ran out is nobody's, and the next caller takes it at once", async () => {
  const clock = new StillClock()
  await using world = await FlapsWorld.open({ clock })
  const { id } = await world.newMachine()
  const path = `${machines}/${id}/lease`
  const first = await world.call('POST', `${path}?ttl=13`)
  clock.advance(13_000)
  assert.equal((await world.call('GET', path)).status, 404)
  const second = await world.call('POST', path)
  assert.equal(second.status, 201)
  assert.notEqual(second.body.data.nonce, first.body.data.nonce)
  assert.equal(second.body.data.expires_at, clock.nowMs() / 1000 + 30, 'a short time by default')
})

test('a leased machine is changed only with the nonce; looking at it needs none', async () => {
  await using world = await FlapsWorld.open()
  const { id, nonce, instance_id: version } = await world.newMachine({ lease_ttl: 300 })
  const path = `${machines}/${id}`
  const body = { config: { image: 'nginx:2' } }
  const changes: readonly (readonly [string, string, unknown?])[] = [
    ['POST', path, body],
    ['DELETE', `${path}?force=true`],
    ['POST', `${path}/start`],
    ['POST', `${path}/stop`],
    ['POST', `${path}/suspend`],
    ['POST', `${path}/restart`],
    ['POST', `${path}/cordon`],
  ]
  for (const [method, target, sent] of changes) {
    for (const headers of [{}, nonceHeader('d12aabfe228f')]) {
      const reply = await world.call(method, target, { body: sent, headers })
      assert.equal(reply.status, 409, `${method} ${target}`)
      assert.match(
        reply.body.error,
        new RegExp(`^aborted: machine ID ${id} lease currently held by `),
      )
    }
  }
  const read = await world.call('GET', `${path}?include_leases=true`)
  assert.equal(read.body.instance_id, version, 'nothing has changed')
  assert.equal(read.body.lease.nonce, undefined)
  assert.equal((await world.call('GET', `${path}/wait`)).status, 200)
  assert.equal(
    (await world.call('POST', `${path}/metadata/a`, { body: { value: 'b' } })).status,
    204,
  )
  const updated = await world.call('POST', path, { body, headers: nonceHeader(nonce) })
  assert.equal(updated.status, 200)
})
