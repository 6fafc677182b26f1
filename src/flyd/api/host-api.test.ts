import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import test from 'node:test'
import { type Clock, createLog, firstOf, pollUntil, systemClock, systemRandom } from '#base'
import { fc } from '#property'
import { FlydError, refuse } from '../errors.ts'
import type { MachineHost } from '../host.ts'
import type { HostOperations } from '../host-operations.ts'
import { ClusterKey } from './cluster-key.ts'
import { type HostCallName, hostCalls } from './host-calls.ts'
import { HostClients } from './host-clients.ts'
import { HostConnection } from './host-connection.ts'
import { type HostServer, serveHost } from './host-server.ts'
import { signedHeaders } from './signed-post.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const key = new ClusterKey(randomBytes(32))
const anywhere = { host: '127.0.0.1', port: 0 }
const never = new AbortController().signal

type Handler = (name: string, args: readonly unknown[], signal: AbortSignal) => unknown

/** A host whose every method is `handler`. */
function hostOf(handler: Handler): MachineHost & { operations: HostOperations } {
  const methods = (prefix: string) =>
    new Proxy(
      {},
      {
        get: (_target, name) => {
          if (PARTS.includes(String(name))) return methods(`${String(name)}.`)
          return async (...given: unknown[]) =>
            handler(`${prefix}${String(name)}`, given.slice(0, -1), given.at(-1) as AbortSignal)
        },
      },
    )
  return methods('') as MachineHost & { operations: HostOperations }
}

const PARTS = ['volumes', 'migration', 'operations']

const serve = (handler: Handler, listen = anywhere) => {
  const host = hostOf(handler)
  return serveHost({ host, operations: host.operations, key, listen, log })
}

const clientsOf = (port: number, clock: Clock = systemClock) =>
  new HostClients({ addressOf: () => '127.0.0.1', port, key, clock })

/** Arguments of every call, as flaps gives them. */
const launch = { config: { image: 'a' }, skipLaunch: false, skipSecrets: false }
const intent = { ...launch, minSecretsVersion: 0, leaseTtlS: 0, owner: 'me' }
const home = { appId: 'a', appName: 'heron', orgId: 'o', orgSlug: 'birds', networkId: 1 }
const born = { id: 'm', reservation: 'r', name: 'n', region: 'ams', isCordoned: false }
const volume = { id: 'v', reservation: 'r', appId: 'a', orgId: 'o', name: 'n', region: 'ams' }
const moved = {
  ...{ ...home, id: 'm', name: 'n', region: 'ams', config: { image: 'a' }, version: '01' },
  ...{ replaced: [], versions: [], volumeIds: [], isToRun: true, bornAtMs: 1 },
}
const exec = { command: ['true'], timeoutMs: 1000, stdin: '', inMachine: false }
const argumentsOf: Readonly<Record<HostCallName, readonly unknown[]>> = {
  create: [{ ...intent, ...home, ...born }],
  machine: ['m'],
  update: ['m', { ...intent, nonce: undefined, currentVersion: undefined }],
  destroy: ['m', { force: true, nonce: 'abc' }],
  start: ['m', { nonce: undefined }],
  stop: ['m', { signal: undefined, timeoutMs: undefined, nonce: undefined }],
  suspend: ['m', { nonce: undefined }],
  restart: ['m', { signal: 'SIGTERM', timeoutMs: 1, force: false, nonce: undefined }],
  signal: ['m', 'SIGHUP'],
  setCordoned: ['m', { isCordoned: true, nonce: undefined }],
  wait: ['m', { states: ['started'], version: undefined, fromEventId: undefined, timeoutMs: 9 }],
  lease: ['m'],
  acquireLease: ['m', { nonce: undefined, ttlS: 13, owner: 'me', description: '' }],
  releaseLease: ['m', 'abc'],
  exec: ['m', { ...exec, container: undefined }],
  processes: ['m'],
  memory: ['m'],
  limitMemory: ['m', 128],
  reclaimMemory: ['m', 16],
  metrics: [{ orgId: 'o', apps: [{ id: 'a', name: 'heron' }], selectors: ['up'] }],
  events: ['m', 20],
  versions: ['m'],
  changeMetadata: ['m', { a: 'b', c: null }, { version: undefined }],
  'volumes.create': [{ ...volume, sizeGb: 1, isEncrypted: true, fstype: 'ext4' }],
  'volumes.get': ['v'],
  'volumes.update': ['v', { snapshotRetention: 3 }],
  'volumes.destroy': ['v'],
  'volumes.extend': ['v', 2],
  'volumes.snapshots': ['v'],
  'volumes.createSnapshot': ['v'],
  'migration.arrive': [moved, { reservation: 'r' }],
  'migration.releaseIn': ['m'],
  'operations.report': [],
  'operations.setMode': ['draining'],
}

function callOn(host: MachineHost, name: HostCallName, signal: AbortSignal): Promise<unknown> {
  const [part = '', inner] = name.split('.')
  const owner = inner === undefined ? host : (Reflect.get(host, part) as object)
  const method = Reflect.get(owner, inner ?? part) as (...all: unknown[]) => Promise<unknown>
  return method(...argumentsOf[name], signal)
}

test('every call arrives with its arguments, and its result comes back', async () => {
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value))
  await using server = await serve((name, args) =>
    name === 'lease' ? undefined : { name, args: plain(args) },
  )
  using clients = clientsOf(server.port)
  for (const name of hostCalls.keys()) {
    const expected = name === 'lease' ? undefined : { name, args: plain(argumentsOf[name]) }
    assert.deepEqual(await callOn(clients.host('h1'), name, never), expected, name)
  }
})

test('what a host refuses arrives as the same error, and what breaks on it says nothing of itself', async () => {
  const refusals = Object.keys(FlydError.catalogue) as (keyof typeof FlydError.catalogue)[]
  await using server = await serve((_name, [id]) => {
    if (id === 'bug') throw new TypeError('secrets of the host')
    throw new FlydError(id as 'flyd.conflict', { what: `aborted: ${id}`, values: { a: 1 } })
  })
  using clients = clientsOf(server.port)
  for (const code of refusals) {
    await assert.rejects(clients.host('h1').machine(code, never), {
      name: 'FlydError',
      code,
      what: `aborted: ${code}`,
      values: { a: 1 },
    })
  }
  await assert.rejects(clients.host('h1').machine('bug', never), (error: Error) => {
    assert.equal((error as FlydError).code as string, 'host.failed')
    return !error.message.includes('secrets')
  })
})

test('who has not the key of the cluster is refused, and so is a changed request', async () => {
  await using server = await serve(() => 'done')
  const other = new ClusterKey(randomBytes(32))
  using clients = new HostClients({
    addressOf: () => '127.0.0.1',
    port: server.port,
    key: other,
  })
  await assert.rejects(clients.host('h1').machine('m', never), { code: 'host.denied' })
  const url = `http://127.0.0.1:${server.port}/v1/machine`
  const post = (headers: Record<string, string>, body: string) =>
    fetch(url, { method: 'POST', headers, body }).then(({ status }) => status)
  assert.equal(await post({}, '["m"]'), 401)
  const atMs = Date.now()
  const signature = key.sign({ atMs, path: '/v1/machine', requestId: 'r', body: '["m"]' })
  const headers = { 'godwit-request-id': 'r', 'godwit-signature': signature }
  assert.equal(await post({ ...headers, 'godwit-signed-at': String(atMs) }, '["m"]'), 200)
  assert.equal(await post({ ...headers, 'godwit-signed-at': String(atMs) }, '["n"]'), 401)
  assert.equal(await post({ ...headers, 'godwit-signed-at': String(atMs + 1) }, '["m"]'), 401)
  const old = atMs - 600_000
  const late = key.sign({ atMs: old, path: '/v1/machine', requestId: 'r', body: '["m"]' })
  const stale = { ...headers, 'godwit-signed-at': String(old), 'godwit-signature': late }
  assert.equal(await post(stale, '["m"]'), 401)
})

/** Passes connections on to `port`; `cut` ends those that stand. */
async function relay(port: number) {
  const sockets = new Set<Socket>()
  const server: Server = createServer((from) => {
    const to = connect(port, '127.0.0.1')
    for (const socket of [from, to]) {
      sockets.add(socket)
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    }
    from.pipe(to).pipe(from)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as { port: number }).port,
    cut,
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('a call whose connection breaks under way runs once, and its answer arrives', async () => {
  let runs = 0
  const goOn = Promise.withResolvers<void>()
  await using server = await serve(async (name) => {
    if (name === 'machine') return 'known'
    runs += 1
    await goOn.promise
    return { nonce: 'first' }
  })
  await using cable = await relay(server.port)
  using clients = clientsOf(cable.port)
  const host = clients.host('h1')
  await host.machine('m', never)
  const options = { nonce: undefined, ttlS: 5, owner: 'me', description: '' }
  const leased = host.acquireLease('m', options, never)
  await pollUntil('the first run', () => runs === 1, { deadlineMs: 20_000 })
  cable.cut()
  goOn.resolve()
  assert.deepEqual(await leased, { nonce: 'first' })
  assert.equal(runs, 1)
})

test('a host that was restarted under way repeats what may be repeated, and says so of the rest', async () => {
  const runs: string[] = []
  const handler = async (name: string) => {
    if (name === 'machine') return 'known'
    runs.push(name)
    if (runs.length < 3) await new Promise(() => undefined) // dies with its process
    return 'done'
  }
  let server: HostServer | undefined = await serve(handler)
  const { port } = server
  using clients = clientsOf(port)
  const host = clients.host('h1')
  try {
    await host.machine('m', never)
    const restarted = host.restart(
      'm',
      { signal: undefined, timeoutMs: undefined, force: false, nonce: undefined },
      never,
    )
    const stopped = host.start('m', { nonce: undefined }, never)
    const [first, second] = [restarted, stopped].map((call) => call.catch((error) => error))
    await pollUntil('both', () => runs.length === 2, { deadlineMs: 20_000 })
    await using other = await replaced(server, port, handler)
    server = undefined
    assert.equal((await first)?.code, 'flyd.deadline_exceeded')
    assert.equal(await second, 'done')
    assert.deepEqual(runs.filter((name) => name === 'restart').length, 1)
    assert.ok(other.port === port)
  } finally {
    await server?.[Symbol.asyncDispose]()
  }
})

/** The process is gone and another one serves: the port is the same, nothing is remembered. */
async function replaced(old: HostServer, port: number, handler: Handler): Promise<HostServer> {
  const ended = old[Symbol.asyncDispose]()
  cutAll(old)
  await ended
  return serve(handler, { host: '127.0.0.1', port })
}

const cutAll = (server: HostServer) => server.cut()

test('a dead host is refused at once after three failures, others go on, and it is asked again', async () => {
  await using alive = await serve(() => 'alive')
  const away = await serve(() => 'back')
  const { port } = away
  await away[Symbol.asyncDispose]()
  const connection = new HostConnection({
    hostId: 'h2',
    address: '127.0.0.1',
    port,
    key,
    clock: hurried(20),
    random: systemRandom,
  })
  using _held = connection
  const ask = () => connection.call('machine', 'read', ['m'], { signal: never, deadlineMs: 30_000 })
  await assert.rejects(ask(), { code: 'flyd.host_unreached' })
  assert.equal(connection.isOpen, true)
  await assert.rejects(ask(), { code: 'flyd.host_unreached' })
  using clients = clientsOf(alive.port)
  assert.equal(await clients.host('h1').machine('m', never), 'alive')
  await using _back = await serve(() => 'back', { host: '127.0.0.1', port })
  const answer = await pollUntil('the host to be asked again', () => ask().catch(() => undefined), {
    deadlineMs: 20_000,
  })
  assert.equal(answer, 'back')
  assert.equal(connection.isOpen, false)
})

test('a host that falls silent is given up as one whose call may have had its effect', async () => {
  const silent = createServer(() => undefined)
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = silent.address() as { port: number }
    using clients = clientsOf(port, hurried(50))
    const options = { signal: undefined, timeoutMs: undefined, nonce: undefined }
    await assert.rejects(clients.host('h1').stop('m', options, never), {
      code: 'flyd.deadline_exceeded',
    })
  } finally {
    silent.close()
  }
})

test('a host that is long at a call says meanwhile that it lives', async () => {
  const goOn = Promise.withResolvers<string>()
  await using server = await serve(() => goOn.promise)
  for (const call of ['machine', 'start'] as const) {
    const body = JSON.stringify(argumentsOf[call])
    const path = `/v1/${call}`
    const signed = { atMs: systemClock.nowMs(), path, requestId: call, body }
    const headers = {
      [signedHeaders.requestId]: call,
      [signedHeaders.signedAt]: String(signed.atMs),
      [signedHeaders.signature]: key.sign(signed),
    }
    const asked = request({ port: server.port, host: '127.0.0.1', path, method: 'POST', headers })
    asked.end(body)
    const [sign] = await once(asked, 'information', { signal: AbortSignal.timeout(30_000) })
    assert.equal(sign.statusCode, 102)
    asked.on('error', () => undefined).destroy()
  }
  goOn.resolve('done')
})

test('a wait ends on the host when its caller leaves; a change goes on', async () => {
  const signals = new Map<string, AbortSignal>()
  const goOn = Promise.withResolvers<void>()
  await using server = await serve(async (name, _args, signal) => {
    signals.set(name, signal)
    const aborted = new Promise<void>((resolve) =>
      signal.addEventListener('abort', () => resolve()),
    )
    await firstOf(goOn.promise, aborted)
  })
  using clients = clientsOf(server.port)
  const leaving = new AbortController()
  const host = clients.host('h1')
  const calls = [callOn(host, 'wait', leaving.signal), callOn(host, 'start', leaving.signal)]
  const ended = Promise.allSettled(calls)
  await pollUntil('both', () => signals.size === 2, { deadlineMs: 20_000 })
  leaving.abort(refuse('flyd.deadline_exceeded', 'canceled: the client went away'))
  await ended
  await pollUntil('the wait', () => signals.get('wait')?.aborted, { deadlineMs: 20_000 })
  assert.equal(signals.get('start')?.aborted, false)
  goOn.resolve()
})

test('a host that is not in the rows is unreached', async () => {
  using clients = new HostClients({ addressOf: () => undefined, key })
  await assert.rejects(clients.host('h9').machine('m', never), { code: 'flyd.host_unreached' })
})

test('whatever a caller with the key sends is answered, and the host serves on', async () => {
  await using server = await serve(() => 'done')
  const requests = fc.record(
    {
      path: fc.oneof(
        fc.constantFrom('/v1/create', '/v1/constructor', '/v1/volumes.get', '/v1/__proto__'),
        fc.webPath(),
      ),
      body: fc.oneof(fc.json(), fc.string({ maxLength: 200 })),
    },
    { noNullPrototype: true },
  )
  await fc.assert(
    fc.asyncProperty(requests, async ({ path, body }) => {
      const sent = `/${path.replace(/^\/+/, '')}`
      const atMs = Date.now()
      const url = new URL(`http://127.0.0.1:${server.port}${sent}`)
      const signed = { atMs, path: `${url.pathname}${url.search}`, requestId: 'r', body }
      const response = await fetch(url, {
        method: 'POST',
        body,
        headers: {
          'godwit-request-id': 'r',
          'godwit-signed-at': String(atMs),
          'godwit-signature': key.sign(signed),
        },
      })
      assert.equal(response.status, 400)
    }),
    { numRuns: 100 },
  )
  using clients = clientsOf(server.port)
  assert.equal(await clients.host('h1').machine('m', never), 'done')
})

/** Time that passes faster. */
const hurried = (times: number): Clock => ({
  nowMs: () => systemClock.nowMs(),
  monotonicMs: () => systemClock.monotonicMs() * times,
  setTimer: (callback, afterMs) => systemClock.setTimer(callback, afterMs / times),
  sleep: (ms, signal) => systemClock.sleep(ms / times, signal),
})

test('a stream to a machine carries bytes both ways, and ends with the server', async () => {
  await using server = await serve((name, args) => {
    assert.deepEqual([name, args], ['connect', ['148ed599c14189', { port: 5432 }]])
    return new PassThrough()
  })
  using clients = clientsOf(server.port)
  const host = clients.host('h')
  const stream = await host.connect('148ed599c14189', { port: 5432 }, never)
  const sent = 'a line\n'.repeat(50_000)
  stream.end(sent)
  assert.equal(await text(stream), sent)
  const other = await host.connect('148ed599c14189', { port: 5432 }, never)
  other.on('error', () => undefined)
  const closed = new Promise((resolve) => other.once('close', resolve))
  other.resume()
  server.cut()
  await closed
})

test('a stream that is refused says why, and one without the key gets none', async () => {
  await using server = await serve(() => {
    throw refuse('flyd.state_bad', 'failed_precondition: nothing listens there')
  })
  using clients = clientsOf(server.port)
  const attempt = clients.host('h').connect('148ed599c14189', { port: 81 }, never)
  await assert.rejects(attempt, { code: 'flyd.state_bad' })
  const other = new ClusterKey(randomBytes(32))
  const { port } = server
  using strangers = new HostClients({ addressOf: () => '127.0.0.1', port, key: other })
  const denied = strangers.host('h').connect('148ed599c14189', { port: 22 }, never)
  await assert.rejects(denied, { code: 'host.denied' })
})
