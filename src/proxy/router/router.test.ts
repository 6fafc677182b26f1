import assert from 'node:assert/strict'
import test from 'node:test'
import { codeOf, machineOf, RouterFixture, sent } from './router.fixture.ts'

const ended = { sent: 0, received: 0 }

test('a machine of this host is dialled, one of another goes over the backhaul', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1')
  const here = sent(await fixture.decide(fixture.request()))
  assert.deepEqual([here.kind, here.address, here.port], ['machine', '172.19.0.2', 8080])
  fixture.rows.change('m1', { state: 'destroyed' }).machine('m2', 'a', 'h2')
  const there = sent(await fixture.decide(fixture.request()))
  assert.deepEqual([there.kind, there.address, there.port], ['remote', '10.0.0.2', 8080])
})

test('the entrance says what the port is configured to do, and is the same object until that changes', () => {
  const fixture = new RouterFixture()
  const ports = [
    {
      port: 80,
      handlers: ['tls', 'http', 'proxy_proto'],
      proxy_proto_options: { version: 'v2' },
      tls_options: { versions: ['TLSv1.3'], default_self_signed: true },
      http_options: {
        h2_backend: true,
        compress: true,
        idle_timeout: 5,
        response: { headers: { 'X-A': false, 'X-B': ['1', '2'], 'X-C': 'c' }, pristine: true },
      },
    },
  ]
  fixture.rows.machine('m1', 'a', 'h1', { ports })
  const entrance = fixture.entrance()
  assert(entrance)
  const handlers = { pgTls: false, tls: true, http: true, proxyProto: 2 }
  assert.deepEqual(entrance.handlers, handlers)
  assert.deepEqual([entrance.tlsMinVersion, entrance.tlsMaxVersion], ['TLSv1.3', 'TLSv1.3'])
  assert.deepEqual(entrance.alpn, ['h2', 'http/1.1'])
  assert.deepEqual([entrance.defaultSelfSigned, entrance.idleTimeoutMs], [true, 5_000])
  assert.deepEqual(
    [...entrance.response.headers],
    [
      ['x-a', false],
      ['x-b', ['1', '2']],
      ['x-c', ['c']],
    ],
  )
  assert.deepEqual([entrance.response.pristine, entrance.compress], [true, true])
  fixture.rows.change('m1', { load: 0.5 })
  assert.equal(fixture.entrance(), entrance)
  fixture.rows.service('m1', 'a', [{ port: 80, handlers: ['http'] }])
  assert.notEqual(fixture.entrance(), entrance)
})

test('a shared address asks for the name first, and lets no raw TCP through', () => {
  const fixture = new RouterFixture()
  const { rows, router } = fixture
  rows.ip('192.0.2.7', 'a', 'shared_v4')
  const raw = { port: 6379, handlers: [] }
  const mqtt = { port: 8883, handlers: ['tls'], tls_options: { alpn: ['mqtt'] } }
  const http = { port: 80, handlers: ['http'] }
  rows.machine('m1', 'a', 'h1', { ports: [raw, mqtt, http] })
  const named = (port: number, name: string) => {
    const shared = fixture.entrance(port, '192.0.2.7')
    assert.equal(shared?.shared, true)
    return shared && router.named(shared, name)
  }
  assert.equal(named(6379, 'a.apps.test'), undefined)
  assert.deepEqual(named(8883, 'a.apps.test')?.alpn, ['mqtt'])
  assert.equal(named(80, 'a.apps.test')?.app, 'a')
  assert.equal(named(80, 'nobody.test'), undefined)
})

test('flycast is reached from the network that the address was given to, and from no other', () => {
  const fixture = new RouterFixture()
  fixture.rows.ip('fdaa:0:2:0:1::7', 'a', 'private_v6', 2).machine('m1', 'a', 'h1')
  const from = (client: string) => fixture.entrance(80, 'fdaa:0:2:0:1::7', client) !== undefined
  assert.equal(from('fdaa:0:2:a7b:174:db43:d3c6:2'), true)
  assert.equal(from('fdaa:0:1:a7b:174:db43:d3c6:2'), false)
  assert.equal(from('2001:db8::1'), false)
})

test('200 requests to a stopped app cause one start, and all are served by it', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1', { state: 'stopped' })
  fixture.rows.machine('m2', 'a', 'h2', { state: 'stopped' })
  const answers = Array.from({ length: 200 }, () => fixture.decide(fixture.request()))
  await fixture.clock.pass(1_000)
  assert.deepEqual([fixture.waker.started, fixture.core.waitingCount], [['m1'], 200])
  fixture.waker.end('m1')
  const machines = new Set((await Promise.all(answers)).map(machineOf))
  assert.deepEqual([...machines], ['m1'])
})

test('a request for a machine that stops waits until it rests, and starts it then', async () => {
  const fixture = new RouterFixture()
  fixture.rows.nowMs = fixture.clock.monotonicMs()
  fixture.rows.machine('m1', 'a', 'h1', { state: 'stopping' })
  const answer = fixture.decide(fixture.request())
  await fixture.clock.pass(500)
  assert.deepEqual(fixture.waker.started, [])
  fixture.rows.change('m1', { state: 'stopped' })
  fixture.core.changed()
  await fixture.clock.pass(1)
  assert.deepEqual(fixture.waker.started, ['m1'])
  fixture.waker.end('m1')
  assert.equal(machineOf(await answer), 'm1')
})

test('a failed start sends the request to the next machine; when all fail it gets the code of the last', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1', { state: 'stopped' })
  fixture.rows.machine('m2', 'a', 'h2', { state: 'stopped' })
  const first = fixture.decide(fixture.request())
  const failed = { kind: 'failed', code: 'PM07', reason: 'leased' } as const
  fixture.waker.end('m1', failed)
  fixture.waker.end('m2', failed)
  assert.deepEqual(await first, { kind: 'refuse', status: 503, code: 'PM07' })
  assert.equal(codeOf(await fixture.decide(fixture.request())), 'PM07', 'not tried again at once')
  assert.deepEqual(fixture.waker.started, ['m1', 'm2'])
})

test('a start without an answer ends in PM03 for who waits', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1', { state: 'stopped' })
  assert.equal(codeOf(await fixture.decide(fixture.request())), 'PM03')
})

test('all at hard: requests wait in order, one goes on with each release, and the rest end in PR03', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1', { service: { soft_limit: 1, hard_limit: 1 } })
  const first = sent(await fixture.decide(fixture.request()))
  const order: string[] = []
  const waiting = ['one', 'two', 'three'].map((name) =>
    fixture.decide(fixture.request()).then((decision) => {
      order.push(name)
      return decision
    }),
  )
  first.lease.release('done', ended)
  const one = sent(await waiting[0])
  one.lease.release('done', ended)
  one.lease.release('done', ended) // a second one counts nothing
  assert.equal(machineOf(await waiting[1]), 'm1')
  assert.equal(codeOf(await waiting[2]), 'PR03')
  assert.deepEqual(order, ['one', 'two', 'three'])
})

test('who waits is bounded, for each app and in all', async () => {
  const fixture = new RouterFixture({ waitingPerRoute: 2 })
  fixture.rows.machine('m1', 'a', 'h1', { state: 'stopped' })
  const waiting = [fixture.decide(fixture.request()), fixture.decide(fixture.request())]
  assert.equal(codeOf(await fixture.router.route(fixture.request())), 'PM03')
  assert.equal(fixture.core.overflowCount, 1)
  fixture.waker.end('m1')
  await Promise.all(waiting)
})

test('a client that goes away leaves the line', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1', { state: 'stopped' })
  const client = new AbortController()
  const answer = fixture.router.route(fixture.request({ signal: client.signal }))
  assert.equal(fixture.core.waitingCount, 1)
  client.abort()
  assert.equal(codeOf(await answer), 'PM03')
  assert.equal(fixture.core.waitingCount, 0)
})

test('a failed attempt goes to another machine, then to any again, and ends in PR03 after 90', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1').machine('m2', 'a', 'h2')
  const tried: string[] = []
  const requestId = 'same'
  for (;;) {
    const attempts = tried.map((machine) => ({ machine, result: 'connect-failed' as const }))
    const decision = await fixture.decide(fixture.request({ requestId, attempts }))
    if (decision.kind === 'refuse') {
      assert.equal(decision.code, 'PR03')
      break
    }
    tried.push(machineOf(decision))
    sent(decision).lease.release('connect-failed', ended)
  }
  assert.deepEqual(tried.slice(0, 2), ['m1', 'm2'])
  assert.equal(tried.length, 90)
})

test('a forced machine is tried several times and no other ever', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1').machine('m2', 'a', 'h2')
  const headers = { 'fly-force-instance-id': 'm2' }
  const tried: string[] = []
  for (;;) {
    const attempts = tried.map((machine) => ({ machine, result: 'connect-failed' as const }))
    const decision = await fixture.decide(fixture.request({ headers, attempts }))
    if (decision.kind === 'refuse') break
    tried.push(machineOf(decision))
    sent(decision).lease.release('connect-failed', ended)
  }
  assert.deepEqual([tried.length, [...new Set(tried)]], [10, ['m2']])
  const dead = { 'fly-force-instance-id': 'dead' }
  assert.equal(codeOf(await fixture.decide(fixture.request({ headers: dead }))), 'PR03')
})

test('a preferred machine that is gone is named to the one that gets the request', async () => {
  const fixture = new RouterFixture()
  fixture.rows.machine('m1', 'a', 'h1')
  const headers = { 'fly-prefer-instance-id': 'gone' }
  const decision = sent(await fixture.decide(fixture.request({ headers })))
  assert.deepEqual([...(decision.headers ?? [])], [['fly-preferred-instance-unavailable', 'gone']])
})

test('TCP without a healthy machine ends in PR01', async () => {
  const fixture = new RouterFixture({ waitMs: 30_000 })
  fixture.rows.machine('m1', 'a', 'h1', { ports: [{ port: 80, handlers: [] }] })
  fixture.rows.check('m1', 'critical')
  assert.equal(codeOf(await fixture.decide(fixture.request({ kind: 'tcp' }))), 'PR01')
})
