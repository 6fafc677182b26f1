import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { newKeyLine } from '#seal'
import { askExplain, askLoads, askTop } from '../admin/admin-client.ts'
import { type AdminServer, serveAdmin } from '../admin/admin-server.ts'
import { Ear, FACTS } from '../backhaul/link-pair.fixture.ts'
import { customSealContext } from '../certificates/certificate-store.ts'
import { EdgeKeyRing } from '../certificates/edge-key-ring.ts'
import { saveTable } from '../routing-table/saved-table.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { openRouting, type Routing } from './open-routing.ts'

const log = createLog({ part: 'proxy', level: 'fatal' })
const keys = new EdgeKeyRing(newKeyLine('k', systemRandom), systemRandom)

/** Nothing listens there: corrosion is dead from the beginning. */
const DEAD = { url: 'http://127.0.0.1:9' }

test('without corrosion a proxy serves what it knew at its last stop, and says why', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-routing-'))
  let routing: Routing | undefined
  let admin: AdminServer | undefined
  try {
    const rows = new TableFixture().app('a').ip('192.0.2.1', 'a').machine('m1', 'a', 'h1')
    const sealed_key = [...keys.seal(Buffer.from('key'), customSealContext('own.test'))]
    const brought = { chain_pem: 'PEM', not_before: 0, not_after: Date.now() + 3_600_000 }
    rows.table.put('custom_certs', { hostname: 'own.test', app_id: 'a', sealed_key, ...brought }, 0)
    const tablePath = join(folder, 'table')
    await saveTable(rows.table, tablePath)
    const adminPath = join(folder, 'admin.sock')
    routing = await openRouting({
      ...{ ownHostId: 'h1', appDomain: 'apps.test', corrosion: DEAD, tablePath, keys },
      ...{ backhaulPort: 0, backhaulAddress: undefined, hostOf: () => undefined },
      ...{ clock: systemClock, random: systemRandom, log },
    })
    const facts = { clientAddress: '198.51.100.1', clientPort: 1, localAddress: '192.0.2.1' }
    assert.equal(routing.router.accept({ ...facts, localPort: 443 })?.app, 'a')
    assert.deepEqual(routing.certificates.find('own.test', false), { chain: 'PEM', key: 'key' })
    routing.table.remove('custom_certs', { hostname: 'own.test' })
    assert.equal(routing.certificates.find('own.test', false), undefined)
    admin = await serveAdmin(routing.router, adminPath)
    assert.equal(statSync(adminPath).mode & 0o777, 0o600)
    const top = await askTop(adminPath)
    assert.deepEqual([top.host, top.apps[0]?.app, top.apps[0]?.running], ['h1', 'a', 1])
    const services = routing.table.machine('m1')?.services ?? []
    for (const service of services) service.take()
    assert.deepEqual(await askLoads(adminPath), [{ machine: 'm1', in_flight: 1, load: 0.05 }])
    const question = { host: 'a.apps.test', path: '/', port: 443, headers: {} }
    const answer = await askExplain(adminPath, question)
    assert(answer.found)
    assert.equal(answer.decision.chosen, 'm1')
    const gone = { 'fly-force-instance-id': 'gone' }
    const none = await askExplain(adminPath, { ...question, headers: gone })
    assert(none.found)
    assert.equal(none.decision.chosen, undefined)
    assert.deepEqual(await askExplain(adminPath, { ...question, host: 'x.test' }), {
      found: false,
      why: 'nobody has it',
    })
    assert.deepEqual(await askExplain(adminPath, { ...question, port: 22 }), {
      found: false,
      why: 'no machine of a exposes port 22',
    })
  } finally {
    await admin?.close()
    await routing?.close()
    rmSync(folder, { recursive: true })
  }
})

test('when a machine is suspended, on whichever host, its WebSockets are to be told', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-routing-'))
  const told: string[] = []
  const rows = new TableFixture().app('a').host('h2', 'fra').machine('m1', 'a', 'h2')
  const tablePath = join(folder, 'table')
  await saveTable(rows.table, tablePath)
  const routing = await openRouting({
    ...{ ownHostId: 'h1', appDomain: '', corrosion: DEAD, tablePath, keys },
    ...{ backhaulPort: 0, backhaulAddress: undefined, hostOf: () => undefined },
    ...{ clock: systemClock, random: systemRandom, log },
    closeUpgrades: ({ id }) => void told.push(id),
  })
  try {
    const row = routing.table.rows('machines').get('m1')
    for (const state of ['started', 'suspending', 'suspended'])
      routing.table.put('machines', { ...row, state }, 0)
    assert.deepEqual(told, ['m1'])
  } finally {
    await routing.close()
    rmSync(folder, { recursive: true })
  }
})

test('no proxy on the socket is an error that says so', async () => {
  await assert.rejects(askTop('/nonexistent/admin.sock'), { code: 'proxy.admin_away' })
})

test('two hosts: the edge sends to the worker over the backhaul, and its load is known afterwards', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-routing-'))
  const machine = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(machine, 'listening')
  const internalPort = (machine.address() as AddressInfo).port
  const open: Routing[] = []
  try {
    const start = async (ownHostId: string, backhaulPort: number, address: string | undefined) => {
      const rows = new TableFixture(ownHostId).host('h1', 'ams').host('h2', 'fra').app('a')
      const worker = { id: 'h2', region: 'fra', state: 'ready', backhaul_ip: '127.0.0.1' }
      rows.table.put('hosts', worker, 0)
      const service = { internal_port: internalPort }
      rows.ip('192.0.2.1', 'a').machine('m1', 'a', 'h2', { service, ports: [{ port: 443 }] })
      rows.change('m1', { private_ipv4: '127.0.0.1' })
      const tablePath = join(folder, ownHostId)
      await saveTable(rows.table, tablePath)
      const routing = await openRouting({
        ...{ ownHostId, appDomain: '', corrosion: DEAD, tablePath, keys },
        ...{ backhaulPort, backhaulAddress: address, hostOf: () => undefined },
        ...{ clock: systemClock, random: systemRandom, log },
      })
      open.push(routing)
      return routing
    }
    const port = await freePort()
    await start('h2', port, '127.0.0.1')
    const edge = await start('h1', port, undefined)
    const entrance = edge.router.accept({ ...FACTS, localPort: 443 })
    assert(entrance)
    const decision = await edge.router.route({
      ...{ entrance, kind: 'tcp', isTls: false, serverName: '', method: '', host: '', target: '' },
      ...{ connection: { ...FACTS, localPort: 443 }, requestId: 'id', attempts: [] },
      ...{ header: () => undefined, signal: new AbortController().signal },
    })
    assert(decision.kind === 'remote')
    const ear = new Ear()
    const stream = edge.open(decision, FACTS, ear)
    stream?.send(Buffer.from('over the sea'))
    await pollUntil('the echo', () => ear.text === 'over the sea', { deadlineMs: 60_000 })
    assert.equal(ear.load, 1)
    stream?.end()
    await pollUntil('the end', () => ear.isEnded, { deadlineMs: 60_000 })
    decision.lease.release('done', { sent: 12, received: 12 })
    const [service] = edge.table.machine('m1')?.services ?? []
    assert.equal(service?.load, 0, 'what the worker told, less what has ended since')
  } finally {
    for (const routing of open) await routing.close()
    machine.close()
    rmSync(folder, { recursive: true })
  }
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
