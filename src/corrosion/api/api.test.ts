import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createLog, pollUntil, systemClock } from '#base'
import { ReadPool } from '../store/read-pool.ts'
import { Store } from '../store/store.ts'
import { Subscriptions } from '../subscriptions/subscriptions.ts'
import type { ApiHost } from './api-host.ts'
import { type ApiOptions, ApiServer } from './api-server.ts'
import { QueryProcesses } from './query-processes.ts'

interface Exchange {
  readonly title: string
  readonly request: {
    readonly method: string
    readonly path: string
    readonly json?: unknown
    readonly raw_body?: string
    readonly headers?: Record<string, string>
  }
  readonly writes_between?: readonly (readonly string[])[]
  readonly response: {
    readonly status: number
    readonly headers?: Record<string, string>
    readonly body?: string
    readonly lines?: readonly string[]
    readonly stream_ended_by_server?: boolean
  }
}

const fixture = (name: string) => {
  const url = new URL(`../../../test/fixtures/corrosion/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8'), keepNumbers)
}
/** Numbers stay as they are written: larger than JavaScript's, negative zero. */
const keepNumbers = ((_key: string, value: unknown, { source }: { source: string }) => {
  const isOdd = typeof value === 'number' && String(value) !== source
  return isOdd ? (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source) : value
}) as (key: string, value: unknown) => unknown
const schema: string = fixture('schema').statements.join('\n')
const log = createLog({ part: 'corrosion', level: 'fatal' })

class Agent implements ApiHost, AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'godwit-api-'))
  readonly store: Store
  readonly readers: ReadPool
  readonly queryProcesses: QueryProcesses
  readonly subscriptions: Subscriptions
  server!: ApiServer

  constructor() {
    let ts = 1n
    const path = join(this.folder, 'state.db')
    this.store = new Store({ path, now: () => ts++ })
    this.store.migrate(schema)
    this.readers = new ReadPool({ path })
    this.queryProcesses = new QueryProcesses(path)
    this.subscriptions = new Subscriptions(this.store, systemClock)
  }

  static async start(options: Partial<ApiOptions> = {}): Promise<Agent> {
    const agent = new Agent()
    agent.server = await ApiServer.listen(agent, { host: '127.0.0.1', port: 0, ...options }, log)
    return agent
  }

  get actor() {
    return this.store.actor
  }

  transaction<T>(work: () => T) {
    const committed = this.store.transaction(work)
    this.subscriptions.committed(this.store.settle().touched)
    return committed
  }

  health() {
    return { gaps: 0, members: 0, p99Lag: undefined, queueSize: 0 }
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.server.port}${path}`
  }

  fetch(request: Exchange['request'], signal?: AbortSignal): Promise<Response> {
    const body = request.raw_body ?? (request.json === undefined ? undefined : bodyOf(request.json))
    const type = request.raw_body === undefined && body !== undefined
    // A string body would be given a content type; bytes are not.
    const bytes = body === undefined ? undefined : Buffer.from(body)
    return fetch(this.url(request.path), {
      method: request.method,
      headers: { ...(type ? { 'content-type': 'application/json' } : {}), ...request.headers },
      ...(bytes === undefined ? {} : { body: bytes }),
      ...(signal === undefined ? {} : { signal }),
    })
  }

  async post(path: string, json: unknown): Promise<Response> {
    return this.fetch({ method: 'POST', path, json })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close()
    this.subscriptions[Symbol.dispose]()
    this.readers[Symbol.dispose]()
    this.queryProcesses[Symbol.dispose]()
    this.store.close()
    rmSync(this.folder, { recursive: true })
  }
}

const bodyOf = (json: unknown) => JSON.stringify(json)

/** Lines of a stream as they come. */
class Lines {
  readonly seen: string[] = []
  isEnded = false
  readonly #abort: AbortController

  constructor(response: Response, abort: AbortController) {
    this.#abort = abort
    void this.#read(response)
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ''
    try {
      for await (const chunk of response.body ?? []) {
        const parts = `${rest}${decoder.decode(chunk as Uint8Array, { stream: true })}`.split('\n')
        rest = parts.pop() ?? ''
        this.seen.push(...parts)
      }
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error
    }
    if (rest !== '') this.seen.push(rest)
    this.isEnded = true
  }

  async until(count: number): Promise<void> {
    const isThere = () => this.seen.length >= count || this.isEnded
    await pollUntil(`${count} lines`, isThere, { deadlineMs: 10_000, intervalMs: 5 })
  }

  close(): void {
    this.#abort.abort()
  }
}

const normal = (text: string) =>
  text
    .replaceAll(/"time":[0-9.e-]+/g, '"time":0')
    .replaceAll(/"version":\d+/g, '"version":1')
    .replaceAll(/"actor_id":"[0-9a-f]{32}"/g, '"actor_id":""')
    .replaceAll(/ in [A-Z].* at offset \d+/g, '')
    .replaceAll(/ at line \d+ column \d+/g, '')

/** What ours answers otherwise, on purpose; the reason is in docs/corrosion.md. */
const DIFFERENT: Readonly<Record<string, number>> = {
  '/v1/transactions CREATE TABLE by API': 400,
  '/v1/transactions DROP TABLE by API': 500,
  '/v1/transactions ALTER TABLE by API': 400,
  '/v1/transactions BEGIN': 400,
  '/v1/transactions COMMIT inside': 400,
  '/v1/transactions PRAGMA': 400,
  '/v1/transactions ATTACH': 400,
  '/v1/transactions write to internal table': 400,
  '/v1/transactions insert in non-CRR table': 500,
  '/v1/queries begin': 400,
  '/v1/queries empty string': 400,
  '/v1/queries comment': 400,
}
/** Answers of equal status whose text is the parser's own, or tells of the other server's state. */
const OTHER_TEXT = new Set([
  'malformed',
  'malformed JSON',
  'body not an array',
  'object body',
  '1e400',
  'internal table',
  'functions',
  'crsql_changes',
  'named params, no prefix in key',
  'explain',
  'select 40',
  'missing named is NULL',
])
/** The statement never ends, or is of a table-valued function that Node's SQLite lacks. */
const LEFT_OUT = new Set([
  'timeout=1 with a long statement',
  'generate_series',
  'error after rows',
  'unnest',
  'text that is not UTF-8',
])

async function replay(agent: Agent, exchanges: readonly Exchange[]): Promise<void> {
  for (const { title, request, response: expected } of exchanges) {
    if (LEFT_OUT.has(title)) continue
    const response = await agent.fetch(request)
    const text = await response.text()
    const status = DIFFERENT[`${request.path} ${title}`] ?? expected.status
    assert.equal(response.status, status, `${title}: ${text}`)
    if (status !== expected.status || OTHER_TEXT.has(title)) continue
    const wanted = expected.body ?? expected.lines?.map((line) => `${line}\n`).join('') ?? ''
    assert.equal(normal(text).trimEnd(), normal(wanted).trimEnd(), title)
    const type = expected.headers?.['content-type']
    if (type !== undefined) assert.equal(response.headers.get('content-type'), type, title)
    const allow = expected.headers?.['allow']
    if (allow !== undefined) assert.equal(response.headers.get('allow'), allow, title)
  }
}

let agent: Agent
before(async () => {
  agent = await Agent.start()
})
after(() => agent[Symbol.asyncDispose]())

test('transactions answer as Corrosion does', () =>
  replay(agent, fixture('transactions').exchanges))

test('parameters and values keep their type as with Corrosion', () =>
  replay(agent, fixture('param-types').exchanges))

test('queries answer as Corrosion does', async () => {
  await using own = await Agent.start()
  await own.post('/v1/transactions', [
    `INSERT INTO services VALUES ('m1', 80, 'http'), ('m1', 443, NULL), ('m2', 22, 'tcp')`,
  ])
  await replay(own, fixture('queries').exchanges)
})

test('statistics and health answer as Corrosion does', async () => {
  await using own = await Agent.start()
  await own.post('/v1/transactions', [
    `INSERT INTO services VALUES ('m1', 80, 'http'), ('m1', 443, NULL), ('m2', 22, 'tcp')`,
    `INSERT INTO machines (id) VALUES ('1'), ('2'), ('3'), ('4')`,
  ])
  const exchanges: Exchange[] = fixture('stats-health').exchanges
  await replay(
    own,
    exchanges.filter(({ title }) => title !== 'internal'),
  )
})

test('the token, the endpoint name and their order answer as Corrosion does', async () => {
  await using own = await Agent.start({ bearerToken: 'sekret', endpointName: 'node-five' })
  await replay(own, fixture('auth').exchanges)
})

test('a subscription streams what Corrosion would, without its holes in row ids', async () => {
  await using own = await Agent.start()
  await own.post('/v1/transactions', [
    `INSERT INTO services VALUES ('m1', 80, 'http'), ('m1', 443, NULL)`,
  ])
  const sql = 'SELECT machine_id, port, proto FROM services'
  const abort = new AbortController()
  const response = await own.fetch(
    { method: 'POST', path: '/v1/subscriptions', json: sql },
    abort.signal,
  )
  const id = response.headers.get('corro-query-id')
  assert.match(response.headers.get('corro-query-hash') ?? '', /^[0-9a-f]{16}$/)
  assert.equal(response.headers.get('content-type'), null)
  const lines = new Lines(response, abort)
  await lines.until(4)
  for (const write of [
    `INSERT INTO services VALUES ('m2', 22, 'tcp')`,
    `UPDATE services SET proto = 'https' WHERE machine_id = 'm1' AND port = 443`,
    `DELETE FROM services WHERE machine_id = 'm2'`,
  ]) {
    await own.post('/v1/transactions', [write])
  }
  await lines.until(7)
  assert.deepEqual(lines.seen.map(normal), [
    '{"columns":["machine_id","port","proto"]}',
    '{"row":[1,["m1",80,"http"]]}',
    '{"row":[2,["m1",443,null]]}',
    '{"eoq":{"time":0,"change_id":0}}',
    '{"change":["insert",3,["m2",22,"tcp"],1]}',
    '{"change":["update",2,["m1",443,"https"],2]}',
    '{"change":["delete",3,["m2",22,"tcp"],3]}',
  ])
  const again = new AbortController()
  const resumed = new Lines(
    await own.fetch({ method: 'GET', path: `/v1/subscriptions/${id}?from=1` }, again.signal),
    again,
  )
  await resumed.until(2)
  assert.deepEqual(resumed.seen, lines.seen.slice(5), 'exactly what was missed, then live')
  await own.post('/v1/transactions', [`UPDATE services SET proto = 'h3' WHERE port = 80`])
  await resumed.until(3)
  await lines.until(8)
  assert.equal(resumed.seen[2], lines.seen[7])
  lines.close()
  resumed.close()
})

test('subscriptions that Corrosion refuses are refused with its words', async () => {
  const exchanges: Exchange[] = fixture('subscriptions').exchanges
  const refused = exchanges.filter(
    ({ response, title }) =>
      response.stream_ended_by_server === true &&
      response.status >= 400 &&
      !['CTE', 'sub-select in FROM', 'rowid', 'json_each', 'id is no uuid'].includes(title),
  )
  assert.ok(refused.length > 12)
  for (const { title, request, response: expected } of refused) {
    const response = await agent.fetch(request)
    assert.equal(response.status, expected.status, title)
    const [line] = (await response.text()).trimEnd().split('\n')
    assert.equal(normal(line ?? ''), normal(expected.lines?.[0] ?? ''), title)
  }
})

test('the updates stream names each row that was written', async () => {
  await using own = await Agent.start()
  const abort = new AbortController()
  const response = await own.fetch({ method: 'POST', path: '/v1/updates/services' }, abort.signal)
  const lines = new Lines(response, abort)
  for (const write of [
    `INSERT INTO services VALUES ('a', 1, 'x'), ('b', 2, NULL)`,
    `DELETE FROM services WHERE machine_id = 'b'`,
  ]) {
    await own.post('/v1/transactions', [write])
  }
  await lines.until(3)
  assert.deepEqual(lines.seen, [
    '{"notify":["update",["a",1]]}',
    '{"notify":["update",["b",2]]}',
    '{"notify":["delete",["b",2]]}',
  ])
  lines.close()
})

test('a slow reader of a large snapshot gets all of it; one that lags for ever gets an error', async () => {
  await using own = await Agent.start()
  own.transaction(() => {
    const insert = own.store.statement(`INSERT INTO tests VALUES (?, ?)`)
    for (let id = 0; id < 30_000; id += 1) insert.run(BigInt(id), `text ${'x'.repeat(200)} ${id}`)
  })
  const abort = new AbortController()
  const response = await own.fetch(
    { method: 'POST', path: '/v1/subscriptions', json: 'SELECT id, text FROM tests' },
    abort.signal,
  )
  for (let round = 0; round < 12; round += 1) {
    own.transaction(() =>
      own.store.statement(`UPDATE tests SET text = ? WHERE id < 1000`).run(`r${round}`),
    )
  }
  const lines = new Lines(response, abort)
  await pollUntil('the end', () => lines.isEnded, { deadlineMs: 20_000 })
  assert.equal(lines.seen.filter((line) => line.startsWith('{"row"')).length, 30_000)
  assert.match(
    lines.seen.at(-1) ?? '',
    /\{"error":"reader lagged behind, subscribe again with from=0"\}/,
  )
})

test('the same port speaks HTTP/2 to clients that know it', async () => {
  const session = connect(agent.url(''))
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/v1/queries',
      'content-type': 'application/json',
    })
    stream.end('"SELECT 1 AS one"')
    let text = ''
    for await (const chunk of stream) text += chunk
    assert.match(text, /^\{"columns":\["one"\]\}\n\{"row":\[1,\[1\]\]\}\n/)
  } finally {
    session.destroy()
  }
})

test('a query that never ends is ended at its timeout, and stops nobody meanwhile', async () => {
  const endless =
    'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT max(x) FROM c'
  const running = agent.post('/v1/queries?timeout=2', endless)
  const others = await Promise.all(
    Array.from({ length: 20 }, () => agent.post('/v1/queries', 'SELECT 1')),
  )
  assert.ok(others.every(({ status }) => status === 200))
  assert.match(
    await (await running).text(),
    /^\{"columns":\["max\(x\)"\]\}\n\{"error":"interrupted"\}\n$/,
  )
  const many = await agent.post('/v1/queries', 'SELECT a.id, b.id FROM kinds a, kinds b LIMIT 5')
  assert.equal(many.status, 200, await many.text())
  const bad = await agent.post('/v1/queries', 'SELECT * FROM a, b')
  assert.deepEqual([bad.status, await bad.text()], [400, '{"error":"no such table: a"}\n'])
})

test('a large join arrives whole, and a reader that goes ends its process', async () => {
  await using own = await Agent.start()
  own.transaction(() => {
    for (let id = 0; id < 300; id += 1)
      own.store.statement('INSERT INTO tests (id) VALUES (?)').run(id)
  })
  const sql = 'SELECT a.id, b.id FROM tests a JOIN tests b'
  const lines = (await (await own.post('/v1/queries', sql)).text()).trimEnd().split('\n')
  assert.equal(lines.length, 90_000 + 2)
  assert.ok(lines.at(-1)?.startsWith('{"eoq"'))
  const abort = new AbortController()
  const request = { method: 'POST', path: '/v1/queries?timeout=0', json: `${sql} JOIN tests c` }
  const response = await own.fetch(request, abort.signal)
  assert.equal(response.status, 200)
  abort.abort()
  const again = await own.post('/v1/queries', 'SELECT (SELECT 7) AS seven')
  assert.match(await again.text(), /\[1,\[7\]\]/)
})

test('garbage on the port ends that connection only', async () => {
  const { connect: connectTcp } = await import('node:net')
  const socket = connectTcp(agent.server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  socket.end(Buffer.from('\x00\x01garbage\r\n\r\n\xff'))
  await new Promise((resolve) => socket.on('close', resolve))
  const response = await agent.post('/v1/queries', 'SELECT 1')
  assert.equal(response.status, 200)
})
