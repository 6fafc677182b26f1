import assert from 'node:assert/strict'
import test from 'node:test'
import { BaseError, shellWords } from '#base'
import { MarketError } from '#market'
import { fc } from '#property'
import { allEndpoints } from './endpoints/all.ts'
import { FlapsError } from './errors.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { StillClock } from './fixture/still-clock.ts'
import { durationMs } from './go-duration.ts'
import { parseJson } from './json-body.ts'
import { parseCursor, printCursor } from './page-cursor.ts'
import { documentedRates } from './rate-limits.ts'
import { TokenBuckets } from './token-buckets.ts'

const machines = '/apps/heron/machines'

test('what is no JSON is a bad request, whatever it is', async () => {
  await using world = await FlapsWorld.open()
  for (const body of ['x'.repeat(1024), '{', '{"config":{"image":"nginx"},}', '[1', '\0']) {
    const reply = await world.call('POST', machines, { body })
    assert.equal(reply.status, 400, body.slice(0, 20))
    assert.match(reply.body.error, /^invalid JSON: /)
  }
})

test('a value of another type is named, in the words of the original', async () => {
  await using world = await FlapsWorld.open()
  const refused = async (body: unknown) => (await world.call('POST', machines, { body })).body.error
  const image = { config: { image: 'nginx' } }
  assert.match(await refused([]), /^json: cannot unmarshal array into Go value of type main\./)
  assert.match(
    await refused({ ...image, name: 1 }),
    /^json: cannot unmarshal number into Go struct field .*name of type string$/,
  )
  assert.match(await refused({ ...image, skip_launch: 'yes' }), /unmarshal string into .* bool$/)
  assert.match(await refused({ config: 'nginx' }), /unmarshal string into .*config/)
  assert.match(await refused({}), /^invalid_argument: config is required$/)
  assert.match(
    await refused({ config: { image: 'a', guest: { cpus: -1 } } }),
    /config\.guest\.cpus/,
  )
})

test('fields that nobody knows are ignored, and null is absent', async () => {
  await using world = await FlapsWorld.open()
  const machine = await world.newMachine({ surprise: [1], name: null, lease_ttl: null })
  const again = await world.call('POST', `${machines}/${machine.id}`, { body: machine })
  assert.equal(again.status, 200, 'what a GET answers can be sent back')
})

test('a body beyond the limit is refused without being read to its end', async () => {
  await using world = await FlapsWorld.open()
  const body = { config: { image: 'nginx', env: { A: 'x'.repeat(10_000_000) } } }
  const reply = await world.call('POST', machines, { body })
  assert.deepEqual([reply.status, reply.body], [413, { error: 'http: request body too large' }])
})

test('a body is JSON whatever its Content-Type says, and an empty one is none', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'application/json']) {
    const headers = { 'content-type': type }
    const stop = await world.call('POST', `${machines}/${id}/stop`, { body: '', headers })
    assert.equal(stop.status, 200, type)
    const body = { config: { image: 'nginx' } }
    assert.equal((await world.call('POST', machines, { body, headers })).status, 200, type)
  }
  const headers = { 'content-type': 'application/json' }
  assert.equal((await world.call('GET', machines, { headers })).status, 200)
})

test('an unknown path is plain text, and every answer has a request id', async () => {
  await using world = await FlapsWorld.open()
  const lost = await world.call('GET', '/nowhere')
  assert.deepEqual([lost.status, lost.body], [404, '404 page not found\n'])
  for (const reply of [lost, await world.call('GET', machines, { token: null })]) {
    assert.match(String(reply.headers['fly-request-id']), /^[0-9A-Z]{26}-ams$/)
  }
})

test('no call answers 5xx to whatever is in its body', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const volume = await world.call('POST', '/apps/heron/volumes', { body: { name: 'data' } })
  const changing = allEndpoints.filter(
    ({ body, id: name }) => body !== undefined && name !== 'Apps_delete',
  )
  const value = fc.jsonValue({ maxDepth: 3 })
  const bodies = fc.oneof(
    value,
    fc.constantFrom(...changing).chain(({ body }) => {
      const { properties } = body as unknown as { properties: object }
      return fc.dictionary(fc.constantFrom(...Object.keys(properties)), value)
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...changing), bodies, async (endpoint, body) => {
      const path = endpoint.path
        .replace('/v1', '')
        .replace(':app', 'heron')
        .replace(':machine', id)
        .replace(':volume', volume.body.id)
        .replace(/:\w+/, 'NAME')
      const reply = await world.call(endpoint.method, path, { body: JSON.stringify(body) })
      assert(reply.status < 500, `${endpoint.id}: ${JSON.stringify(reply.body)}`)
    }),
    { numRuns: 300 },
  )
})

test('the fourth start of one machine within a second is 429, and others are not held up', async () => {
  const clock = new StillClock()
  await using world = await FlapsWorld.open({ clock, rates: documentedRates })
  const { id } = await world.newMachine()
  const { id: other } = await world.newMachine()
  const start = (machine: string) => world.call('POST', `${machines}/${machine}/start`)
  const statuses = [await start(id), await start(id), await start(id), await start(id)]
  assert.deepEqual(
    statuses.map(({ status }) => status),
    [200, 200, 200, 429],
  )
  const [, , , last] = statuses
  assert.deepEqual(last?.body, { error: 'rate limit exceeded' })
  assert.equal(last?.headers['retry-after'], '1')
  assert.equal((await start(other)).status, 200)
  assert.equal((await world.call('POST', `${machines}/${id}/stop`)).status, 200)
  clock.advance(1000)
  assert.equal((await start(id)).status, 200)
})

test('thirty creates in one app at once: a burst passes, the rest is 429, other apps are not held up', async () => {
  await using world = await FlapsWorld.open({ clock: new StillClock(), rates: documentedRates })
  const create = (app: string) =>
    world.call('POST', `/apps/${app}/machines`, { body: { config: { image: 'nginx' } } })
  const replies = await Promise.all(Array.from({ length: 30 }, () => create('heron')))
  assert.equal(replies.filter(({ status }) => status === 200).length, 3)
  assert.equal(replies.filter(({ status }) => status === 429).length, 27)
  assert.equal((await create('tern')).status, 200)
})

test('what a caller may not do does not count against those who may', async () => {
  await using world = await FlapsWorld.open({ clock: new StillClock(), rates: documentedRates })
  const { id } = await world.newMachine()
  const stop = (token?: string) =>
    world.call('POST', `${machines}/${id}/stop`, token === undefined ? {} : { token })
  const readOnly = world.orgToken({ type: 'Action', body: 1 })
  for (let count = 0; count < 10; count += 1) assert.equal((await stop(readOnly)).status, 403)
  assert.equal((await stop()).status, 200)
})

test('buckets are bounded: the least used are forgotten', () => {
  const buckets = new TokenBuckets(new StillClock(), 2)
  const rate = { perSecond: 1, burst: 1 }
  for (const name of ['a', 'b', 'c']) assert.equal(buckets.take(name, rate), 0)
  assert.equal(buckets.size, 2)
  assert.equal(buckets.take('c', rate), 1)
})

test('every mutating call of a token is recorded with who, what and how it ended; none that reads is', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  await world.call('GET', `${machines}/${id}`)
  await world.call('POST', `${machines}/${id}/stop`, { token: null })
  const readOnly = world.orgToken({ type: 'Action', body: 1 })
  await world.call('POST', `${machines}/${id}/stop`, { token: readOnly })
  const [create, stop, ...others] = world.directory.audit
  assert.deepEqual(others, [])
  assert.deepEqual(
    [create?.operation, create?.orgSlug, create?.appName, create?.status],
    ['Machines_create', 'birds', 'heron', 200],
  )
  assert.match(create?.owner ?? '', /@tokens\.internal$/)
  assert.deepEqual([stop?.operation, stop?.owner, stop?.status], ['Machines_stop', undefined, 403])
})

test('what another part failed at is told as nothing, and never as something to send again', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const answers = async (error: unknown) => {
    world.hosts[0].before = () => {
      throw error
    }
    const { status, body } = await world.call('POST', `${machines}/${id}/stop`)
    return [status, body.error]
  }
  const told = [500, 'internal: internal error']
  assert.deepEqual(await answers(new Error('the password is 12345')), told)
  assert.deepEqual(await answers(new MarketError('market.unavailable', { what: 'secret' })), told)
  const late = new BaseError('base.deadline_exceeded', { what: 'asking h1 did not end in time' })
  assert.equal((await answers(late))[0], 408)
})

test('a header with the tokens of many organisations is read', async () => {
  await using world = await FlapsWorld.open()
  const [server] = world.servers
  assert(server !== undefined)
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  const token = world.orgToken()
  const many = Array.from({ length: 100 }, () => `fo1_${'x'.repeat(1000)}`).join(',')
  const headers = { authorization: `${token},${many}` }
  const reply = await fetch(`${address}/v1/apps/heron`, { headers })
  assert.equal(reply.status, 200)
})

test('every code of an error has a status that its class stands for, and those that may be sent again did nothing', () => {
  const catalogue = Object.entries(FlapsError.catalogue)
  for (const [code, { status }] of catalogue) assert(status >= 400 && status < 600, code)
  const again = catalogue.filter(([, { status }]) => [502, 503].includes(status))
  assert.deepEqual(
    again.map(([code]) => code),
    ['flaps.logs_unreached', 'flaps.host_unreached'],
  )
})

test('a prototype in a body does not get through', () => {
  const parsed = parseJson('{"__proto__":{"admin":true},"a":{"__proto__":{"admin":true}}}')
  assert.equal((parsed as { a: { admin?: boolean } }).a.admin, undefined)
  assert.equal(({} as { admin?: boolean }).admin, undefined)
})

test('durations are read as Go does, and zero is nothing', () => {
  const cases: readonly (readonly [string | number, number | undefined])[] = [
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1h', 3_600_000],
    ['1.5s', 1_500],
    ['500ms', 500],
    ['30', 30_000],
    [10, 10_000],
    ['0s', undefined],
    [0, undefined],
    ['', undefined],
  ]
  for (const [text, expected] of cases)
    assert.equal(durationMs(text, 'timeout'), expected, `${text}`)
  for (const text of ['soon', '-5s', 's', '1d']) {
    assert.throws(() => durationMs(text, 'timeout'), { code: 'flaps.argument_bad' }, text)
  }
})

test('words that were quoted come back as they were', () => {
  const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      assert.deepEqual(shellWords(words.map(quote).join(' ')), words)
    }),
  )
})

test('a cursor is read as it was printed, and any other text is refused', () => {
  const cursor = printCursor(1_795_443_658_876, 'a4c123b1612dd2')
  assert.deepEqual(parseCursor(cursor), { afterMs: 1_795_443_658_876, afterId: 'a4c123b1612dd2' })
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseCursor(text)
      } catch (error) {
        assert.equal((error as FlapsError).code, 'flaps.argument_bad')
      }
    }),
  )
})
