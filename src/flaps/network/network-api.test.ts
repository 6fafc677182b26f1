/** The API and the log stream as hosts hand them on from organisations' networks. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { KeyRing, openAccounts, RevocationFeed } from '#accounts'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { openVerifier } from '#macaroon'
import { printSource } from '#net6'
import { newKeyLine } from '#seal'
import { STREAM_PROTOCOL } from '../endpoints/machine-connect.ts'
import { newToken } from '../fixture/fixture-tokens.ts'
import { FlapsWorld } from '../fixture/flaps-world.ts'
import { birds, fish } from '../fixture/memory-directory.ts'
import { runFlaps } from '../run-flaps.ts'
import { feedAccess } from './feed-access.ts'

const anywhere = { host: '127.0.0.1', port: 0 }
const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })
const [BIRDS_MACHINE, FISH_MACHINE, STRANGER] = [7, 8, 9].map((n) => `fdaa:0:${n}:a7b:1:0:a:2`)
const organizationOf = (networkId: number) => ({ 7: birds, 8: fish })[networkId]

/** What is said to a connection as a host hands it on, and all that comes back. */
async function exchange(port: number, source: string | undefined, text: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  const target = { address: 'fdaa::3', port: 4280 }
  if (source !== undefined) socket.write(printSource({ address: source, port: 50_000 }, target))
  socket.write(text)
  let read = ''
  try {
    for await (const piece of socket) read += piece
  } catch (error) {
    if ((error as { code?: string }).code !== 'ECONNRESET') throw error
  }
  return read
}

async function running(t: TestContext, perOrganizationMax?: number) {
  const world = await FlapsWorld.open()
  const flaps = await runFlaps({
    ...{ services: world.newServices(), listen: anywhere, admin: anywhere, log },
    network: {
      ...{ listen: anywhere, organizationOf },
      ...(perOrganizationMax === undefined ? {} : { perOrganizationMax }),
    },
  })
  t.after(async () => {
    await flaps[Symbol.asyncDispose]()
    await world[Symbol.asyncDispose]()
  })
  const port = flaps.networkPort ?? 0
  const get = async (source: string | undefined, path: string, token?: string) => {
    const authorization = token === undefined ? [] : [`authorization: ${token}`]
    const head = [`GET ${path} HTTP/1.1`, 'host: _api.internal:4280', ...authorization]
    const text = await exchange(
      port,
      source,
      `${[...head, 'connection: close'].join('\r\n')}\r\n\r\n`,
    )
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), text }
  }
  return { world, flaps, get, port }
}

const fishToken = () => newToken([{ type: 'Organization', body: { id: 202, mask: 0x1f } }])

test('a machine asks the API in plain HTTP with a token of its organisation', async (t) => {
  const { world, get } = await running(t)
  const { id } = await world.newMachine()
  const listed = await get(BIRDS_MACHINE, '/v1/apps/heron/machines', world.orgToken())
  assert.equal(listed.status, 200)
  assert(listed.text.includes(id))
  assert.equal((await get(BIRDS_MACHINE, '/')).status, 404, 'as doctors of clients expect it')
  assert.equal((await get(BIRDS_MACHINE, '/v1/apps/heron/machines')).status, 401)
  const both = `${world.orgToken()},${fishToken().replace('FlyV1 ', '')}`
  assert.equal((await get(BIRDS_MACHINE, '/v1/apps/heron', both)).status, 200)
})

test('a token of another organisation is good for nothing there, for its own apps neither', async (t) => {
  const { world, get } = await running(t)
  const paths = [
    '/v1/apps/heron',
    '/v1/apps/trout',
    '/v1/platform/regions',
    '/v1/orgs/fish/machines',
  ]
  for (const path of paths) {
    assert.equal((await get(BIRDS_MACHINE, path, fishToken())).status, 403, path)
  }
  assert.equal((await get(FISH_MACHINE, '/v1/apps/trout', fishToken())).status, 200)
  const both = `${world.orgToken()},${fishToken().replace('FlyV1 ', '')}`
  assert.equal((await get(FISH_MACHINE, '/v1/apps/heron', both)).status, 403)
})

test('nobody’s network, and who does not say where he comes from, get no answer', async (t) => {
  const { world, get, port } = await running(t)
  assert.equal((await get(STRANGER, '/v1/apps/heron', world.orgToken())).text, '')
  assert.equal((await get('2001:db8::1', '/v1/apps/heron', world.orgToken())).text, '')
  const text = `GET /v1/apps/heron HTTP/1.1\r\nauthorization: ${world.orgToken()}\r\n\r\n`
  assert.equal(await exchange(port, undefined, text), '')
})

test('connections stay open for further requests, and the end of the API ends them', async (t) => {
  const { world, flaps, port } = await running(t)
  const socket = connect({ host: '127.0.0.1', port })
  const source = { address: BIRDS_MACHINE ?? '', port: 50_000 }
  socket.write(printSource(source, { address: 'fdaa::3', port: 4280 }))
  const request = `GET /v1/apps/heron HTTP/1.1\r\nhost: a\r\nauthorization: ${world.orgToken()}\r\n\r\n`
  let read = ''
  for (const count of [1, 2, 3]) {
    socket.write(request)
    while (read.split('HTTP/1.1 200').length <= count || !read.endsWith('}')) {
      const [piece] = await new Promise<[Buffer]>((done) =>
        socket.once('data', (one: Buffer) => done([one])),
      )
      read += piece
    }
  }
  const closed = new Promise((done) => socket.once('close', done))
  await flaps[Symbol.asyncDispose]()
  await closed
})

test('an organisation has its share of connections, and others have theirs', async (t) => {
  const { world, get, port } = await running(t, 1)
  const source = { address: BIRDS_MACHINE ?? '', port: 50_000 }
  const socket = connect({ host: '127.0.0.1', port })
  t.after(() => socket.destroy())
  socket.write(printSource(source, source))
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
  await new Promise((done) => socket.once('data', done))
  const ask = () => get(BIRDS_MACHINE, '/v1/apps/heron', world.orgToken())
  assert.equal((await ask()).text, '')
  assert.equal((await get(FISH_MACHINE, '/v1/apps/trout', fishToken())).status, 200)
  socket.destroy()
  const isFree = async () => (await ask()).status === 200
  await pollUntil('the place', isFree, { deadlineMs: 20_000 })
})

test('a stream to a machine is joined there, too', async (t) => {
  const { world, port } = await running(t)
  const { id } = await world.newMachine()
  const source = { address: BIRDS_MACHINE ?? '', port: 50_000 }
  const socket = connect({ host: '127.0.0.1', port })
  t.after(() => socket.destroy())
  socket.write(printSource(source, source))
  const head = [
    ...[`GET /v1/apps/heron/machines/${id}/connect?port=5432 HTTP/1.1`, 'host: a'],
    ...['connection: upgrade', `upgrade: ${STREAM_PROTOCOL}`, `authorization: ${world.orgToken()}`],
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\nthere and back`)
  let read = ''
  for await (const piece of socket) read += piece
  assert.match(read, /^HTTP\/1\.1 101 /)
  assert.match(read, /there and back$/)
})

test('the log stream is for the slug of the network’s organisation with a token of it, as far as that reads', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-feed-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const by = { who: 'cli:test', requestId: '01TEST' }
  const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
  using accounts = openAccounts({ path: join(folder, 'accounts.db'), ring })
  const tokenOf = (organization: string, app?: string) =>
    accounts.createToken(by, {
      organization,
      ...(app === undefined ? { profile: 'org' } : { profile: 'deploy', app }),
    })
  for (const organization of ['birds', 'fish']) {
    accounts.createOrganization(by, { slug: organization })
    accounts.addRootKey(by, { organization })
  }
  for (const app of ['heron', 'tern']) accounts.createApp(by, { organization: 'birds', app })
  accounts.createApp(by, { organization: 'fish', app: 'trout' })
  const [org, app, foreign] = [tokenOf('birds'), tokenOf('birds', 'heron'), tokenOf('fish')]
  const revocations = new RevocationFeed(accounts, { clock: systemClock, staleAfterMs: 60_000 })
  revocations.poll()
  const verifier = openVerifier({
    keyFor: (kid) => accounts.rootKeySecret(kid),
    revocations,
    clock: systemClock,
  })
  const { id: numericId } =
    accounts.organizationOfNetwork(accounts.app('heron')?.networkId ?? 0) ?? {}
  const source = {
    address: BIRDS_MACHINE ?? '',
    organization: { numericId: numericId ?? 0, slug: 'birds' },
  }
  const access = feedAccess(source, { accounts, verifier, clock: systemClock })
  const open = (password: string, user = 'birds') => access.open({ user, password })

  assert.deepEqual(open(org.header)?.apps(), new Set(['heron', 'tern']))
  assert.deepEqual(open(org.header.replace('FlyV1 ', ''))?.apps(), new Set(['heron', 'tern']))
  assert.deepEqual(open(app.header)?.apps(), new Set(['heron']))
  assert.equal(open(org.header)?.mayRead('trout'), false)
  assert.equal(open(foreign.header), undefined)
  assert.equal(open(foreign.header, 'fish'), undefined)
  assert.equal(open(org.header, 'fish'), undefined)
  for (const password of ['', 'no token', 'FlyV1 fm2_AAAA']) assert.equal(open(password), undefined)
  const reader = open(org.header)
  accounts.deleteApp(by, { app: 'tern' })
  accounts.createApp(by, { organization: 'fish', app: 'tern' })
  assert.equal(reader?.mayRead('tern'), false, 'it is another organisation’s now')
  assert.deepEqual(reader?.apps(), new Set(['heron']))
  accounts.revokeToken(by, { uuid: org.uuid })
  revocations.poll()
  assert.equal(reader?.apps(), undefined)
})
