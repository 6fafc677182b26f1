import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import type { Decision } from '../route.ts'
import { codeOf, machineOf, RouterFixture, sent } from '../router/router.fixture.ts'
import { parseReplayHeader } from './parse-replay-header.ts'
import { parseReplayJson } from './parse-replay-json.ts'

/** App `a`: m1 here, m2 and m3 in fra; app `b` of the same organisation: mb; app `x` of another: mx. */
function world(limits = {}): RouterFixture {
  const fixture = new RouterFixture(limits)
  const { rows } = fixture
  rows.machine('m1', 'a', 'h1').machine('m2', 'a', 'h2').machine('m3', 'a', 'h2')
  rows.app('b').machine('mb', 'b', 'h1').app('x', { org_id: 'other' }).machine('mx', 'x', 'h1')
  return fixture
}

const JSON_TYPE = { 'content-type': 'application/vnd.fly.replay+json' }

/** A request that m1 answers with this. */
async function replay(
  fixture: RouterFixture,
  headers: Record<string, string>,
  { body = '', canReplay = true, host = 'a.test', target = '/', request = {} } = {},
): Promise<Decision | undefined> {
  const wanted = { 'fly-force-instance-id': 'm1', ...request }
  const first = await fixture.decide(fixture.request({ headers: wanted, host, target }))
  assert.equal(machineOf(first), 'm1')
  return fixture.respond(first, headers, { body, canReplay })
}

const replayTo = (fixture: RouterFixture, value: string) => replay(fixture, { 'fly-replay': value })
const headerOf = (decision: Decision | undefined, name: string) => sent(decision).headers?.get(name)

test('a response without fly-replay is forwarded', async () => {
  assert.equal(await replay(world(), { 'content-type': 'text/html' }), undefined)
})

test('region: the request goes there, with where it comes from and the state', async () => {
  const decision = await replayTo(world(), 'region=fra;state=secret')
  assert.ok(['m2', 'm3'].includes(machineOf(decision)))
  assert.match(
    String(headerOf(decision, 'fly-replay-src')),
    /^instance=m1;region=ams;t=\d+;state=secret$/,
  )
  assert.equal(headerOf(decision, 'fly-replay-cache-status'), 'miss')
})

test('a list of regions is tried in order, with aliases and any; other regions are none', async () => {
  const fixture = world()
  assert.ok(['m2', 'm3'].includes(machineOf(await replayTo(fixture, 'region="syd,fra"'))))
  assert.equal(machineOf(await replayTo(fixture, 'region="sjc,eu"')), 'm1')
  assert.ok(machineOf(await replayTo(fixture, 'region="sjc,any"')))
  assert.equal(codeOf(await replayTo(fixture, 'region=syd')), 'PR03')
})

test('instance: that machine or none; a stopped one is started for it', async () => {
  const fixture = world()
  assert.equal(machineOf(await replayTo(fixture, 'instance=m3')), 'm3')
  assert.equal(codeOf(await replayTo(fixture, 'instance=gone')), 'PR03')
  fixture.rows.change('m3', { state: 'stopped' })
  const answer = replayTo(fixture, 'instance=m3')
  for (let step = 0; step < 20 && fixture.waker.started.length === 0; step += 1) {
    await fixture.clock.pass(10)
  }
  fixture.waker.end('m3')
  assert.equal(machineOf(await answer), 'm3')
})

test('prefer_instance: that one, or another that is told which is missing', async () => {
  const fixture = world()
  assert.equal(machineOf(await replayTo(fixture, 'prefer_instance=m3')), 'm3')
  const decision = await replayTo(fixture, 'prefer_instance=gone')
  assert.equal(headerOf(decision, 'fly-preferred-instance-unavailable'), 'gone')
})

test('elsewhere: any machine but the one that asks; alone it has no candidate', async () => {
  const fixture = world()
  assert.notEqual(machineOf(await replayTo(fixture, 'elsewhere=true')), 'm1')
  const alone = new RouterFixture()
  alone.rows.machine('m1', 'a', 'h1')
  assert.equal(codeOf(await replayTo(alone, 'elsewhere=true')), 'PR03')
})

test('app: another of the organisation; PA04 unknown, PA05 not allowed', async () => {
  const fixture = world()
  assert.equal(machineOf(await replayTo(fixture, 'app=b')), 'mb')
  assert.deepEqual(await replayTo(fixture, 'app=nothing'), {
    kind: 'refuse',
    status: 502,
    code: 'PA04',
  })
  assert.equal(codeOf(await replayTo(fixture, 'app=x')), 'PA05')
  fixture.rows.app('b', { network_id: 2 })
  assert.equal(codeOf(await replayTo(fixture, 'app=b')), 'PA05', 'another 6PN network')
})

test('10 replays are followed, the 11th is PA02', async () => {
  const fixture = world()
  let decision: Decision | undefined = await fixture.decide(fixture.request())
  for (let count = 1; count <= 10; count += 1) {
    decision = await fixture.respond(sent(decision), { 'fly-replay': 'elsewhere=true' })
  }
  assert.ok(decision)
  assert.equal(codeOf(await fixture.respond(decision, { 'fly-replay': 'elsewhere=true' })), 'PA02')
  assert.equal(fixture.router.replays.stateCount, 0)
})

test('a body that was not kept is PA01, in both forms', async () => {
  const options = { canReplay: false }
  assert.equal(codeOf(await replay(world(), { 'fly-replay': 'region=fra' }, options)), 'PA01')
  assert.equal(codeOf(await replay(world(), JSON_TYPE, options)), 'PA01')
})

test('values that cannot be are PA03', async () => {
  for (const value of [
    'region=iad,ord', // a list needs quotes
    'region=',
    'state=only',
    'elsewhere=maybe;app=b',
    'timeout=soon;app=b',
    'fallback=me;app=b',
    'app=b;app=b',
    'nonsense',
    '',
    'app="b',
  ]) {
    assert.equal(codeOf(await replayTo(world(), value)), 'PA03', value)
  }
  assert.ok(parseReplayHeader('app=b;later=thing', undefined), 'an unknown key is passed over')
})

test('JSON: transforms change path and headers, and may not touch framing or what the proxy says', async () => {
  const body = JSON.stringify({
    app: 'b',
    region: ['ams', 'fra'],
    transform: {
      path: '/new?x=1',
      delete_headers: ['Cookie'],
      set_headers: [{ name: 'X-User', value: '7' }],
    },
  })
  const decision = await replay(world(), JSON_TYPE, { body })
  assert.deepEqual([machineOf(decision), sent(decision).target], ['mb', '/new?x=1'])
  assert.equal(headerOf(decision, 'cookie'), false)
  assert.equal(headerOf(decision, 'x-user'), '7')
  for (const transform of [
    { path: 'http://evil/' },
    { path: '/a b' },
    { delete_headers: ['content-length'] },
    { set_headers: [{ name: 'host', value: 'x' }] },
    { set_headers: [{ name: 'fly-client-ip', value: '1' }] },
    { set_headers: [{ name: 'x', value: 'a\r\nb: c' }] },
    { set_headers: [{ name: 'x y', value: 'a' }] },
  ]) {
    const bad = JSON.stringify({ app: 'b', transform })
    assert.equal(codeOf(await replay(world(), JSON_TYPE, { body: bad })), 'PA03', bad)
  }
})

test('no connection within the timeout: back to the origin, with the reason, and never replayed again', async () => {
  const fixture = world()
  fixture.rows.change('mb', { state: 'stopped' }) // its start is never answered
  const decision = await replayTo(fixture, 'app=b;timeout=1s;fallback=force_self')
  assert.equal(machineOf(decision), 'm1')
  const failed = String(headerOf(decision, 'fly-replay-failed'))
  assert.match(
    failed,
    /^instance=;app=b;region=;replay_source=m1;reason=timeout;elapsed_ms=1\d\d\d$/,
  )
  assert.ok(decision)
  assert.equal(codeOf(await fixture.respond(decision, { 'fly-replay': 'app=b' })), 'PA03')
})

test('no candidate: back at once; without fallback the request fails', async () => {
  const fixture = world()
  const decision = await replayTo(fixture, 'region=syd;fallback=prefer_self')
  assert.equal(machineOf(decision), 'm1')
  assert.match(String(headerOf(decision, 'fly-replay-failed')), /region=syd;.*reason=no_candidate/)
  fixture.rows.change('m1', { state: 'destroyed' })
})

test('prefer_self takes any machine of the origin when the origin itself is gone, force_self none', async () => {
  for (const [fallback, isServed] of [
    ['prefer_self', true],
    ['force_self', false],
  ] as const) {
    const fixture = world()
    const first = await fixture.decide(
      fixture.request({ headers: { 'fly-force-instance-id': 'm1' } }),
    )
    fixture.rows.change('m1', { state: 'destroyed' })
    const next = await fixture.respond(first, { 'fly-replay': `region=syd;fallback=${fallback}` })
    if (isServed) assert.ok(['m2', 'm3'].includes(machineOf(next)))
    else assert.equal(codeOf(next), 'PR03')
  }
})

test('connections that fail are tried again, then the fallback says retries_exhausted', async () => {
  const fixture = world({ forcedAttempts: 3 })
  const value = 'instance=m2;fallback=force_self'
  const requestId = 'same'
  const headers = { 'fly-force-instance-id': 'm1' }
  const first = await fixture.decide(fixture.request({ requestId, headers }))
  let decision = await fixture.respond(first, { 'fly-replay': value })
  for (let attempt = 0; attempt < 3; attempt += 1) {
    assert.equal(machineOf(decision), 'm2')
    sent(decision).lease.release('connect-failed', { sent: 0, received: 0 })
    const attempts = [{ machine: 'm2', result: 'connect-failed' as const }]
    decision = await fixture.decide(fixture.request({ requestId, headers, attempts }))
  }
  assert.equal(machineOf(decision), 'm1')
  assert.match(String(headerOf(decision, 'fly-replay-failed')), /reason=retries_exhausted/)
  sent(decision).lease.release('done', { sent: 1, received: 1 })
  assert.equal(fixture.router.replays.stateCount, 0)
})

test('a target that answers 500 has answered: nothing falls back', async () => {
  const fixture = world()
  const decision = await replayTo(fixture, 'app=b;fallback=force_self')
  const { lease } = sent(decision)
  lease.connected(10)
  assert.equal(
    lease.responded({ status: 500, header: () => undefined, canReplay: true }),
    undefined,
  )
})

test('path cache: the next requests below the path go at once, until the time is over', async () => {
  const fixture = world()
  const order = {
    'fly-replay': 'app=b',
    'fly-replay-cache': 'a.test/shop/*',
    'fly-replay-cache-ttl-secs': '10',
  }
  await replay(fixture, order, { target: '/shop/1' })
  const next = await fixture.decide(fixture.request({ host: 'a.test', target: '/shop/2?q' }))
  assert.equal(machineOf(next), 'mb')
  assert.equal(headerOf(next, 'fly-replay-cache-status'), 'hit')
  assert.equal(headerOf(next, 'fly-replay-src'), undefined)
  const others = [
    { host: 'a.test', target: '/shopping' },
    { host: 'other.test', target: '/shop/2' },
  ]
  for (const other of others) {
    assert.notEqual(machineOf(await fixture.decide(fixture.request(other))), 'mb')
  }
  await fixture.clock.pass(10_001)
  const late = await fixture.decide(fixture.request({ host: 'a.test', target: '/shop/2' }))
  assert.notEqual(machineOf(late), 'mb')
})

test('path cache: times under 10 s, other hosts and paths, and orders with a state are not kept', async () => {
  const keep = { 'fly-replay-cache': 'a.test/*', 'fly-replay-cache-ttl-secs': '60' }
  for (const order of [
    { 'fly-replay': 'app=b', ...keep, 'fly-replay-cache-ttl-secs': '9' },
    { 'fly-replay': 'app=b', ...keep, 'fly-replay-cache': 'evil.test/*' },
    { 'fly-replay': 'app=b', ...keep, 'fly-replay-cache': '/other/*' },
    { 'fly-replay': 'app=b;state=s', ...keep },
    { 'fly-replay': 'app=b;timeout=1s', ...keep },
  ]) {
    const fixture = world()
    assert.equal(machineOf(await replay(fixture, order)), 'mb', 'the replay itself is followed')
    assert.equal(fixture.router.replays.cache.size, 0, JSON.stringify(order))
  }
})

test('skip is honoured only where bypass is allowed, and the target sees it', async () => {
  const skip = { 'fly-replay-cache-control': 'skip' }
  const order = {
    'fly-replay': 'app=b',
    'fly-replay-cache': '/*',
    'fly-replay-cache-ttl-secs': '60',
  }
  const strict = world()
  await replay(strict, order)
  assert.equal(machineOf(await strict.decide(strict.request({ headers: skip }))), 'mb')
  const lax = world()
  await replay(lax, { ...order, 'fly-replay-cache-allow-bypass': 'yes' })
  const again = await replay(lax, order, { request: skip })
  assert.equal(headerOf(again, 'fly-replay-cache-status'), 'bypass')
})

test('a cached target that is gone is forgotten, and the app is asked again', async () => {
  const fixture = world()
  const order = {
    'fly-replay': 'instance=m3',
    'fly-replay-cache': '/*',
    'fly-replay-cache-ttl-secs': '60',
  }
  await replay(fixture, order)
  fixture.rows.change('m3', { state: 'destroyed' })
  assert.equal(machineOf(await fixture.decide(fixture.request())), 'm1')
  assert.equal(fixture.router.replays.cache.size, 0)
})

/** App `a` with session rules on its http port. */
function sessions(): RouterFixture {
  const fixture = world()
  const rule = { type: 'cookie', name: 'sid', ttl_seconds: 60 }
  const rules = [
    { ...rule, path_prefix: '/' },
    { ...rule, path_prefix: '/api', allow_bypass: true },
    { type: 'header', name: 'X-Tenant', path_prefix: '/t', ttl_seconds: 60 },
    { ...rule, path_prefix: '/short', ttl_seconds: 9 },
  ]
  const ports = [{ port: 80, handlers: ['http'], http_options: { replay_cache: rules } }]
  for (const id of ['m1', 'm2', 'm3']) fixture.rows.service(id, 'a', ports)
  return fixture
}

test('session cache: by cookie, the longest rule wins, and hosts share nothing', async () => {
  const fixture = sessions()
  const cookie = { cookie: 'x=1; sid=alice' }
  const go = (target: string, headers: Record<string, string> = cookie, host = 'a.test') =>
    fixture.decide(fixture.request({ target, headers, host })).then(machineOf)
  await replay(fixture, { 'fly-replay': 'app=b' }, { target: '/api/x', request: cookie })
  assert.equal(await go('/api/y'), 'mb')
  assert.equal(await go('/page'), 'm1', 'the rule of / has an entry of its own')
  assert.equal(await go('/api/y', { cookie: 'sid=bob' }), 'm1')
  assert.equal(await go('/api/y', cookie, 'other.test'), 'm1')
  const tenant = { 'x-tenant': 'acme' }
  await replay(fixture, { 'fly-replay': 'instance=m3' }, { target: '/t/1', request: tenant })
  assert.equal(await go('/t/2', tenant), 'm3')
})

test('a target that sends the request back with invalidate ends both kinds of entries', async () => {
  const fixture = sessions()
  const request = { cookie: 'sid=alice' }
  await replay(fixture, { 'fly-replay': 'app=b' }, { target: '/api/x', request })
  assert.equal(fixture.router.replays.cache.size, 1)
  const hit = await fixture.decide(fixture.request({ target: '/api/x', headers: request }))
  assert.equal(machineOf(hit), 'mb')
  const back = await fixture.respond(hit, {
    'fly-replay': 'app=a',
    'fly-replay-cache': 'invalidate',
  })
  assert.equal(machineOf(back), 'm1')
  assert.equal(fixture.router.replays.cache.size, 0)
})

test('any header value and any body are a replay or PA03, never an exception', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[a-z_]{1,9}=["a-z,;=0-9]{0,30}$/))
  fc.assert(fc.property(text, (value) => void parseReplayHeader(value, undefined)))
  fc.assert(fc.property(fc.json(), (value) => void parseReplayJson(Buffer.from(value))))
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseReplayJson(bytes)))
})
