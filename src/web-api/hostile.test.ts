import assert from 'node:assert/strict'
import test from 'node:test'
import { WebWorld } from './fixture/web-world.ts'

const repeat = (count: number, one: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => one(index)).join(' ')

/** Nested as deep as a document may be written. */
const nested = (levels: number) =>
  `{ app(name: "heron") { ${'organization { apps { nodes { '.repeat(levels)} name ${'} } } '.repeat(levels)} } }`

const hostile: Readonly<Record<string, { query: string; says: RegExp }>> = {
  'too many tokens': {
    query: `{ ${repeat(3_000, () => 'viewer')} }`,
    says: /more than 2000 tokens/,
  },
  'too deep': { query: nested(8), says: /fields deep/ },
  'too deep, in a fragment': {
    query: `{ app(name: "heron") { ...F } } fragment F on App { ${'organization { apps { nodes { '.repeat(5)} name ${'} } } '.repeat(5)} }`,
    says: /fields deep/,
  },
  'aliases of one call': {
    query: `{ ${repeat(50, (index) => `a${index}: app(name: "heron") { id }`)} }`,
    says: /things at once/,
  },
  'aliases in a fragment': {
    query: `{ ...F } fragment F on Query { ${repeat(50, (index) => `a${index}: viewer { email }`)} }`,
    says: /things at once/,
  },
  'fragments that double each other': {
    query: `{ app(name: "heron") { ...F0 } } ${repeat(
      20,
      (index) =>
        `fragment F${index} on App { a: organization { apps { nodes { ...F${index + 1} } } } b: organization { apps { nodes { ...F${index + 1} } } } }`,
    )} fragment F20 on App { name }`,
    says: /too large/,
  },
  'a fragment of itself': {
    query:
      '{ app(name: "heron") { ...F } } fragment F on App { organization { apps { nodes { ...F } } } }',
    says: /within itself/,
  },
  'fields that must be compared with each other': {
    query: `{ ${repeat(20, (index) => `a${index}: app(name: "heron") { ${repeat(30, () => 'name id')} }`)} }`,
    says: /too large/,
  },
  'no field of the schema': { query: '{ nests { eggs } }', says: /Cannot query field/ },
  'the schema itself': { query: '{ __schema { types { name } } }', says: /introspection/ },
  'no document': { query: '{ app(name: ', says: /Syntax Error/ },
  'no operation': { query: 'fragment F on App { id }', says: /./ },
  'a subscription': { query: 'subscription { app { id } }', says: /./ },
  'a variable of another type': {
    query: 'query($name: String!) { app(name: $name) { id } }',
    says: /\$name/,
  },
}

test('a hostile query is refused with a text, and the next one is answered', async () => {
  await using world = await WebWorld.open()
  for (const [name, { query, says }] of Object.entries(hostile)) {
    const { data, errors } = await world.ask(query, { name: 7 })
    assert.match(errors[0]?.message ?? '', says, name)
    assert.equal(errors[0]?.extensions.code, 'INVALID', name)
    assert.equal(data, undefined, name)
    assert(errors.length <= 10, name)
  }
  assert.deepEqual((await world.ask('{ organizations { nodes { slug } } }')).errors, [])
})

test('an answer that grows with what is there ends at its bound', async () => {
  await using world = await WebWorld.open()
  const by = { who: 'cli:test', requestId: 'r' }
  for (let index = 0; index < 40; index += 1) {
    world.accounts.createApp(by, { organization: 'birds', app: `app-${index}` })
  }
  const { errors } = await world.ask(
    '{ apps { nodes { organization { apps { nodes { organization { apps { nodes { name } } } } } } } } }',
  )
  assert.match(errors[0]?.message ?? '', /more than one answer may hold/)
  assert(errors.length <= 10)
})

test('so does one that repeats a large definition', async () => {
  await using world = await WebWorld.open()
  const by = { who: 'cli:test', requestId: 'r' }
  const definition = { text: 'x'.repeat(900_000) }
  const release = { image: 'nginx', strategy: 'rolling', definition }
  world.accounts.createRelease(by, { app: 'heron', ...release })
  const { errors } = await world.ask(
    `{ app(name: "heron") { ${repeat(20, (index) => `a${index}: config { definition }`)} } }`,
  )
  assert.match(errors[0]?.message ?? '', /more than one answer may hold/)
})

test('bodies that are no query are refused, and one that is too long is not read', async () => {
  await using world = await WebWorld.open()
  for (const body of [
    '',
    '[]',
    '{"query": 7}',
    '{"query": "{ viewer { email } }", "variables": 1}',
  ]) {
    const reply = await world.call('POST', '/graphql', body)
    assert.equal(reply.status, 200)
    assert.equal(reply.body.errors[0].extensions.code, 'INVALID_ARGUMENTS', body)
  }
  const long = await world.call('POST', '/graphql', 'x'.repeat(1_000_000))
  assert.match(long.body.errors[0].message, /too large/)
})

test('who asks too often is told when to come again, each token by itself', async () => {
  const rate = { perSecond: 0.001, burst: 2 }
  const all = { action: rate, getMachine: rate, deleteApp: rate, query: rate }
  await using world = await WebWorld.open({ rates: all })
  const query = '{ viewer { email } }'
  await world.get(query)
  await world.get(query)
  const { errors } = await world.ask(query)
  assert.equal(errors[0]?.extensions.code, 'RATE_LIMITED')
  assert.deepEqual((await world.ask(query, null, world.newToken('readonly'))).errors, [])
})
