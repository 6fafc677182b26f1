import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { followCorrosion } from './follow-corrosion.ts'
import { PLATFORM_TABLES, selectOf } from './platform-rows.ts'
import { RoutingTable } from './routing-table.ts'
import { loadTable, saveTable } from './saved-table.ts'
import { TableFixture } from './table.fixture.ts'

const appCells = (id: string, name = id) => [id, name, 'org', 1, 'deployed', 0]

test('a saved table routes as the original did; a torn file gives what it has, none gives undefined', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-routing-'))
  try {
    const fixture = new TableFixture().host('h2', 'fra', 9_000).app('a').ip('192.0.2.1', 'a')
    fixture.machine('m1', 'a', 'h1').machine('m2', 'a', 'h2').check('m1', 'passing')
    fixture.cert('x.test', 'a', { sealed_key: Uint8Array.of(1, 2, 3) })
    const path = join(folder, 'table')
    const saved = await saveTable(fixture.table, path)
    const restored = new RoutingTable({ ownHostId: 'h1' })
    assert.equal(await loadTable(restored, path, 0), saved)
    const found = restored.lookup('192.0.2.1', 80, 'tcp')
    assert(typeof found !== 'string')
    assert.deepEqual(
      found.regions.map(({ region }) => region),
      ['ams', 'fra'],
    )
    assert.deepEqual([...restored.rows('certs').values()][0]?.['sealed_key'], [1, 2, 3])
    writeFileSync(path, '["godwit-routing",1]\n["apps",{"id":"a","name":"a"}]\n["apps",{"id":"b"')
    const torn = new RoutingTable({ ownHostId: 'h1' })
    assert.equal(await loadTable(torn, path, 0), 1)
    assert.equal(await loadTable(torn, join(folder, 'nothing'), 0), undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** The subscription endpoint of corrosion, of which the test writes every line. */
async function startAgent() {
  const streams = new Map<string, ServerResponse>()
  const asked: string[] = []
  const server = createServer((request, response) => {
    request.setEncoding('utf8')
    request.once('data', (body: string) => {
      const sql = JSON.parse(body) as string
      const name = Object.keys(PLATFORM_TABLES).find(
        (table) => selectOf(table as 'apps') === sql,
      ) as string
      asked.push(`${name} ${request.url}`)
      response.writeHead(200)
      response.flushHeaders()
      streams.set(name, response)
      if (!request.url?.includes('from')) response.write('{"eoq":{"time":0,"change_id":0}}\n')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { server, url, asked, streams }
}

test('the table outlives the death of the agent and goes on from the last change after it', async () => {
  const agent = await startAgent()
  const table = new RoutingTable({ ownHostId: 'h1' })
  table.put('apps', { id: 'old', name: 'old' }, 0) // of its last stop
  const following = followCorrosion({
    url: agent.url,
    table,
    clock: systemClock,
    random: systemRandom,
    log: createLog({ part: 'proxy', level: 'error' }),
  })
  const reach = (what: string, look: () => boolean) => pollUntil(what, look, { deadlineMs: 30_000 })
  try {
    await reach('all tables', () => following.isComplete)
    assert.equal(table.appByName('old'), undefined, 'what is gone meanwhile goes')
    const change = { change: ['insert', 1, appCells('a'), 1] }
    agent.streams.get('apps')?.write(`${JSON.stringify(change)}\n`)
    await reach('the app', () => table.appByName('a') !== undefined)
    agent.server.closeAllConnections()
    await reach('the end', () => agent.asked.includes('apps /v1/subscriptions?from=1'))
    assert.equal(table.appByName('a')?.name, 'a')
    const next = { change: ['insert', 2, appCells('b'), 2] }
    agent.streams.get('apps')?.write(`${JSON.stringify(next)}\n`)
    await reach('the second app', () => table.appByName('b') !== undefined)
  } finally {
    agent.server.close()
    agent.server.closeAllConnections()
    await following[Symbol.asyncDispose]()
  }
})
