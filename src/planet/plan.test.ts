import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { parse } from 'smol-toml'
import { fc } from '#property'
import { distanceKm } from './geography.ts'
import { reachableHosts } from './path-choice.ts'
import { planWorld } from './plan.ts'
import { routerOf } from './routers.ts'
import type { Topology } from './topology.ts'

const box = parse(readFileSync('topologies/box.toml', 'utf8')) as unknown as Topology
const place = { latitude: 0, longitude: 0 }

const refused = (topology: Topology, why: RegExp) =>
  assert.throws(() => planWorld('p', topology), { code: 'planet.topology_bad', message: why })

test('the box has six hosts, five routers and five clients, each with its own addresses', () => {
  const plan = planWorld('box', box)
  const count = (kind: string) => plan.nodes.filter((node) => node.kind === kind).length
  assert.deepEqual([count('host'), count('transit'), count('client')], [6, 5, 5])
  const addresses = plan.links.flatMap((link) => link.ends.flatMap((end) => [end.ipv4, end.ipv6]))
  assert.equal(new Set(addresses).size, addresses.length)
  const ids = plan.nodes.flatMap((node) => routerOf(plan, node)?.routerId ?? [])
  assert.equal(new Set(ids).size, 11)
})

test('delays come from coordinates, and latency = false removes them all', () => {
  const delayOf = (topology: Topology, name: string) =>
    planWorld('box', topology).links.find((link) => link.name === name)?.delayUs
  assert.equal(delayOf(box, 'ams--iad'), 45_630)
  assert.equal(delayOf(box, 'ams--ams-1'), 0)
  assert.equal(delayOf({ ...box, latency: false }, 'ams--iad'), 0)
})

test('distance is symmetric, zero to itself, and at most half way round', () => {
  const places = fc.record({
    latitude: fc.double({ min: -90, max: 90, noNaN: true }),
    longitude: fc.double({ min: -180, max: 180, noNaN: true }),
  })
  fc.assert(
    fc.property(places, places, (from, to) => {
      const km = distanceKm(from, to)
      assert(km >= 0 && km < 20_016)
      assert(Math.abs(km - distanceKm(to, from)) < 1e-6)
      assert(distanceKm(from, from) < 1e-6)
    }),
  )
})

test('an unknown region is named with its key', () => {
  refused(
    { ...box, clients: [{ name: 'c', region: 'xyz' }] },
    /clients\[0\]\.region: no region 'xyz'; there are ams, iad/,
  )
  refused({ ...box, links: [{ between: ['ams', 'xyz'] }] }, /links\[0\]\.between: no region 'xyz'/)
})

test('overlapping addresses are named with both keys', () => {
  refused(
    { ...box, anycast: { prefixes: ['203.0.113.0/24', '203.0.0.0/16'] } },
    /anycast\.prefixes\[1\]: 203\.0\.0\.0\/16 overlaps 203\.0\.113\.0\/24 of anycast\.prefixes\[0\]/,
  )
  refused({ ...box, anycast: { prefixes: ['198.18.1.0/25'] } }, /of regions\[1\]\.ipv4/)
  refused({ ...box, anycast: { prefixes: ['2001:db8::/32'] } }, /backbone/)
})

test('a prefix that is none is named with its key', () => {
  refused({ ...box, anycast: { prefixes: ['over there'] } }, /anycast\.prefixes\[0\]: 'over there'/)
  refused({ ...box, anycast: { prefixes: ['203.0.113.9/24'] } }, /bits set behind its length/)
  refused({ regions: [{ code: 'aa', ...place, ipv4: '10.0.0.0/8' }] }, /not an IPv4 \/24/)
})

test('a name too long for an interface is named with its key and length', () => {
  refused(
    { ...box, clients: [{ name: 'a-client-in-amsterdam', region: 'ams' }] },
    /clients\[0\]\.name: 'a-client-in-amsterdam' is too long.* 15 characters, it has 21/,
  )
})

test('names and links that appear twice are refused, all at once', () => {
  const region = { code: 'aa', ...place }
  const twice: Topology = {
    regions: [region, region, { ...region, code: 'bb' }],
    links: [{ between: ['aa', 'bb'] }, { between: ['bb', 'aa'] }, { between: ['aa', 'aa'] }],
  }
  refused(twice, /regions\[1\]\.code.*links\[1\].*have a link, links\[0\].*links\[2\].*itself/)
})

test('a planet name that would not fit its namespaces is refused', () => {
  for (const name of ['', 'Box', 'a.b', '-a', 'a-very-long-planet']) {
    assert.throws(() => planWorld(name, box), { code: 'planet.name_bad' })
  }
})

test('a client reaches its own region, then by AS hops, then by distance', () => {
  const plan = planWorld('box', box)
  const silent = (...hosts: string[]) => ({ silentHosts: new Set(hosts) })
  const from = (client: string, ...hosts: string[]) =>
    reachableHosts(plan, client, silent(...hosts))
  assert.deepEqual(from('nrt-client'), ['nrt-1', 'nrt-2'])
  assert.deepEqual(from('nrt-client', 'nrt-1'), ['nrt-2'])
  assert.deepEqual(from('nrt-client', 'nrt-1', 'nrt-2'), ['iad-1', 'iad-2'])
  assert.deepEqual(from('syd-client'), ['nrt-1', 'nrt-2'], 'one hop both ways: the shorter cable')
  assert.deepEqual(reachableHosts(plan, 'syd-client', { cutLinks: new Set(['nrt--sin']) }), [
    'ams-1',
    'ams-2',
  ])
  assert.deepEqual(
    from('ams-client', ...['ams', 'iad', 'nrt'].flatMap((r) => [`${r}-1`, `${r}-2`])),
    [],
  )
})

test('paths that are equal in hops and length are all used', () => {
  const at = (code: string, longitude: number, hosts: number) => ({
    code,
    latitude: 0,
    longitude,
    hosts,
  })
  const plan = planWorld('even', {
    anycast: { prefixes: ['203.0.113.0/24'] },
    regions: [at('west', -10, 1), at('mid', 0, 0), at('east', 10, 1)],
    links: [{ between: ['west', 'mid'] }, { between: ['mid', 'east'] }],
    clients: [{ name: 'someone', region: 'mid' }],
  })
  assert.deepEqual(reachableHosts(plan, 'someone'), ['east-1', 'west-1'])
})
