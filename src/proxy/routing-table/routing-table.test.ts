import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import type { PortRoute } from './app-tree.ts'
import { TABLE_NAMES } from './platform-rows.ts'
import { RoutingTable } from './routing-table.ts'
import { TableFixture } from './table.fixture.ts'

const routeOf = (found: PortRoute | string): PortRoute => {
  assert(typeof found !== 'string', `no route: ${found}`)
  return found
}

test('a dedicated address leads to its app by port, whatever name the client says', () => {
  const { table } = new TableFixture().app('a').ip('192.0.2.1', 'a').machine('m1', 'a', 'h1')
  const route = routeOf(table.lookup('192.0.2.1', 443, 'tcp', 'somebody.else'))
  assert.equal(route.app.name, 'a')
  assert.deepEqual([route.spec.handlers.tls, route.spec.handlers.http], [true, true])
  assert.equal(routeOf(table.lookup('192.0.2.1', 80, 'tcp')).spec.forceHttps, true)
  assert.equal(table.lookup('192.0.2.1', 22, 'tcp'), 'port_unexposed')
  assert.equal(table.lookup('192.0.2.1', 443, 'udp'), 'port_unexposed')
  assert.equal(table.lookup('192.0.2.9', 443, 'tcp'), 'address_unknown')
})

test('a shared address leads by name: own domain, exact certificate, wildcard of one label', () => {
  const fixture = new TableFixture()
  for (const app of ['a', 'b', 'c']) {
    fixture.app(app).ip('192.0.2.7', app, 'shared_v4').machine(`m${app}`, app, 'h1')
  }
  fixture.cert('www.example.com', 'b').cert('*.example.com', 'c').app('hidden')
  fixture.machine('mh', 'hidden', 'h1')
  const { table } = fixture
  const appAt = (name?: string) => {
    const found = table.lookup('192.0.2.7', 443, 'tcp', name)
    return typeof found === 'string' ? found : found.app.name
  }
  assert.equal(appAt(), 'name_needed')
  assert.equal(appAt('a.apps.test'), 'a')
  assert.equal(appAt('www.example.com'), 'b')
  assert.equal(appAt('x.example.com'), 'c')
  assert.equal(appAt('x.y.example.com'), 'name_unknown')
  assert.equal(appAt('example.com'), 'name_unknown')
  assert.equal(appAt('hidden.apps.test'), 'name_unknown', 'it does not have this address')
})

test("at the host's own address the apps that have a shared one are found by name", () => {
  const fixture = new TableFixture('h1', ['192.0.2.99']).app('a').app('hidden')
  fixture.ip('192.0.2.7', 'a', 'shared_v4').machine('ma', 'a', 'h1').machine('mh', 'hidden', 'h1')
  const at = (name?: string) => fixture.table.lookup('192.0.2.99', 443, 'tcp', name)
  assert.equal(routeOf(at('a.apps.test')).app.name, 'a')
  assert.equal(at(), 'name_needed')
  assert.equal(at('hidden.apps.test'), 'name_unknown')
})

test('a name that one app has proved is not taken over by a claim that another has not proved', () => {
  const fixture = new TableFixture().app('a').app('b').cert('x.test', 'a', { updated_at: 1 })
  fixture.cert('x.test', 'b', { host_id: 'h2', updated_at: 9, state: 'pending' })
  assert.equal(fixture.table.appOfHostname('x.test')?.name, 'a')
})

test("a name is an app's by a custom certificate too, and nobody takes the own name of another", () => {
  const fixture = new TableFixture().app('a').app('b')
  const { table } = fixture
  const custom = (hostname: string, app_id: string, chain_pem = 'PEM') =>
    table.put('custom_certs', { hostname, app_id, chain_pem, updated_at: 1 }, 0)
  custom('x.test', 'a', '')
  assert.equal(table.appOfHostname('x.test')?.name, 'a')
  custom('a.apps.test', 'b')
  fixture.cert('a.apps.test', 'b')
  assert.equal(table.appOfHostname('a.apps.test')?.name, 'a')
  table.remove('custom_certs', { hostname: 'x.test' })
  assert.equal(table.appOfHostname('x.test'), undefined)
})

test('a port range is routed from its first to its last port, and no further', () => {
  const fixture = new TableFixture().app('a').ip('192.0.2.1', 'a')
  fixture.machine('m1', 'a', 'h1', { ports: [{ start_port: 8080, end_port: 8085 }] })
  const isRouted = (port: number) =>
    typeof fixture.table.lookup('192.0.2.1', port, 'tcp') !== 'string'
  assert.deepEqual([8079, 8080, 8085, 8086].map(isRouted), [false, true, true, false])
})

test('only machines that expose the port are candidates, and the newest configuration counts', () => {
  const fixture = new TableFixture().app('a').ip('192.0.2.1', 'a')
  fixture.machine('m1', 'a', 'h1', { ports: [{ port: 80, handlers: ['http'] }] })
  fixture.machine('m2', 'a', 'h1', { ports: [{ port: 80, handlers: ['http'], force_https: true }] })
  fixture.machine('m3', 'a', 'h1', { ports: [{ port: 81, handlers: [] }] })
  const route = routeOf(fixture.table.lookup('192.0.2.1', 80, 'tcp'))
  assert.deepEqual([...route.byMachine.keys()].toSorted(), ['m1', 'm2'])
  assert.equal(route.spec.forceHttps, true)
})

test('a machine is in rotation only while it is started, passing, not cordoned and no standby', () => {
  const fixture = new TableFixture().app('a').ip('192.0.2.1', 'a')
  const inRotation = () => {
    const route = routeOf(fixture.table.lookup('192.0.2.1', 80, 'tcp'))
    return route.regions.flatMap(({ bands }) => bands.flat().map(({ machine }) => machine.id))
  }
  fixture.machine('m1', 'a', 'h1')
  assert.deepEqual(inRotation(), ['m1'])
  fixture.check('m1', 'critical', 0, 'top-level')
  assert.deepEqual(inRotation(), ['m1'], 'a check at the top level gates nothing')
  fixture.check('m1', 'critical')
  assert.deepEqual(inRotation(), [])
  fixture.check('m1', 'passing').change('m1', { is_cordoned: 1 })
  assert.deepEqual(inRotation(), [])
  fixture.change('m1', { is_cordoned: 0, standby_for: '["m9"]' })
  assert.deepEqual(inRotation(), [])
  fixture.change('m1', { standby_for: '[]', state: 'stopped' })
  assert.deepEqual(inRotation(), [])
  fixture.change('m1', { state: 'started' })
  assert.deepEqual(inRotation(), ['m1'])
  fixture.table.setReachable('h1', false)
  assert.deepEqual(inRotation(), [])
})

test('regions come nearest first, and a flutter of the round trip moves no host to another band', () => {
  const fixture = new TableFixture().host('h2', 'fra', 8_000).host('h3', 'nrt', 240_000)
  fixture.app('a').ip('192.0.2.1', 'a')
  for (const host of ['h3', 'h2', 'h1']) fixture.machine(`m-${host}`, 'a', host)
  const route = () => routeOf(fixture.table.lookup('192.0.2.1', 80, 'tcp'))
  assert.deepEqual(
    route().regions.map(({ region }) => region),
    ['ams', 'fra', 'nrt'],
  )
  const { version } = fixture.table.topology
  for (const rttUs of [8_200, 7_900, 8_100, 7_800]) fixture.host('h2', 'fra', rttUs)
  assert.equal(fixture.table.topology.version, version)
})

test('rows in any order, repeated and removed, give the table that the last ones alone give', () => {
  const build = (order: (count: number) => number[]) => {
    const source = new TableFixture().host('h2', 'fra', 8_000).app('a').app('b')
    source.ip('192.0.2.1', 'a').ip('192.0.2.7', 'b', 'shared_v4').cert('b.test', 'b')
    source.machine('m1', 'a', 'h1').machine('m2', 'a', 'h2').machine('m3', 'b', 'h2')
    source.check('m2', 'passing').check('m1', 'critical')
    const rows = TABLE_NAMES.flatMap((name) =>
      [...source.table.rows(name).values()].map((row) => ({ name, row })),
    )
    const table = new RoutingTable({ ownHostId: 'h1', appDomain: 'apps.test' })
    for (const at of order(rows.length)) {
      const { name, row } = rows[at] as (typeof rows)[number]
      table.put(name, row, 0)
    }
    return table
  }
  const view = (table: RoutingTable) =>
    [
      table.lookup('192.0.2.1', 80, 'tcp'),
      table.lookup('192.0.2.7', 443, 'tcp', 'b.test'),
      table.lookup('192.0.2.7', 443, 'tcp', 'b.apps.test'),
    ].map((found) =>
      typeof found === 'string'
        ? found
        : found.regions.map(({ region, bands, warming }) => ({
            region,
            running: bands.flat().map(({ machine }) => machine.id),
            warming: warming.map(({ machine }) => machine.id),
          })),
    )
  const expected = view(build((count) => Array.from({ length: count }, (_, at) => at)))
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seededRandom(seed)
      const table = build((count) => {
        const all = Array.from({ length: count }, (_, at) => at)
        const extra = Array.from({ length: count }, () => random.int(count))
        return [...extra, ...all].sort(() => random.next() - 0.5)
      })
      assert.deepEqual(view(table), expected)
      for (const name of TABLE_NAMES) {
        for (const row of [...table.rows(name).values()]) table.remove(name, row)
      }
      assert.equal(table.lookup('192.0.2.1', 80, 'tcp'), 'address_unknown')
      assert.deepEqual([...table.apps()], [], 'nothing is left behind')
    }),
    { numRuns: 50 },
  )
})

test('rows of any kind of rubbish break nothing', () => {
  const cells = fc.oneof(
    fc.constant(null),
    fc.string(),
    fc.double(),
    fc.bigInt(),
    fc.json(),
    fc.constantFrom('[{"port":80,"handlers":"x"}]', '[{"start_port":9,"end_port":1}]', '[[]]'),
  )
  const names = [
    ...['id', 'machine_id', 'app_id', 'host_id', 'ports', 'address', 'kind', 'state', 'load'],
    ...['hostname', 'protocol', 'internal_port', 'standby_for', 'statics', 'name', 'soft_limit'],
  ]
  const rows = fc.dictionary(fc.constantFrom(...names), cells)
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...TABLE_NAMES), rows)), (given) => {
      const table = new RoutingTable({ ownHostId: 'h1' })
      for (const [name, row] of given) table.put(name, row, 0)
      for (const app of table.apps()) app.route('tcp', 80, table.topology)
      for (const [name, row] of given) table.remove(name, row)
    }),
  )
})

test('an IPv6 address is found however its row writes it', () => {
  const rows = new TableFixture().app('a').ip('2001:DB8:0:0:0:0:0:1', 'a').machine('m1', 'a', 'h1')
  assert.equal(rows.table.address('2001:db8::1')?.appIds.has('a'), true)
  rows.table.remove('ips', { address: '2001:DB8:0:0:0:0:0:1', app_id: 'a' })
  assert.equal(rows.table.address('2001:db8::1'), undefined)
})
