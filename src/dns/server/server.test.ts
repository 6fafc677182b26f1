import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { ipv6Bytes } from '../directory/six-pn.ts'
import { app, offer, PLACE, queryPacket, SOURCE, service, smallWorld } from '../fixture/world.ts'
import { authority, resolver } from '../resolver.ts'
import { Upstream } from '../upstream/upstream.ts'
import { parseQuery } from '../wire/query.ts'
import { InternalZone } from '../zone/internal-zone.ts'
import { PublicZone } from '../zone/public-zone.ts'
import { listenTcp } from './tcp.ts'
import { listenUdp } from './udp.ts'

const run = promisify(execFile)
const LOOPBACK = { address: '127.0.0.1', port: 0 }

async function dig(port: number, ...words: string[]): Promise<string> {
  const args = ['@127.0.0.1', '-p', String(port), '+tries=3', '+time=10', ...words]
  return (await run('dig', args)).stdout.trim()
}

/** Asks from loopback count as asked from a machine of acme. */
function serve(upstream?: Upstream, directory = smallWorld()) {
  return resolver({
    zone: new InternalZone(directory, PLACE),
    callerOf: () => directory.callerOf(ipv6Bytes(SOURCE)),
    ...(upstream === undefined ? {} : { upstream }),
  })
}

test('dig reads answers over UDP and TCP', async () => {
  const directory = smallWorld()
  offer(directory, service('m01'), service('m02'))
  const handle = serve(undefined, directory)
  await using udp = await listenUdp(LOOPBACK, handle)
  await using tcp = await listenTcp({ ...LOOPBACK, port: udp.port }, handle)
  const both = 'fdaa:2:45b:a7b:174:1:1:2\nfdaa:2:45b:a7b:174:1:2:2'
  assert.equal(await dig(udp.port, '+short', 'web.internal', 'AAAA'), both)
  assert.equal(await dig(tcp.port, '+tcp', '+short', 'web.internal', 'AAAA'), both)
  assert.equal(await dig(udp.port, '+short', 'vms.web.internal', 'TXT'), '"m01 ams,m02 nrt"')
  const services = await dig(
    udp.port,
    '+noall',
    '+answer',
    '+additional',
    '_http._tcp.web.internal',
    'SRV',
  )
  const fields = services.split('\n').map((line) => line.split(/\s+/).join(' '))
  assert.deepEqual(fields, [
    '_http._tcp.web.internal. 5 IN SRV 1 1 8080 m01.vm.web.internal.',
    '_http._tcp.web.internal. 5 IN SRV 1 1 8080 m02.vm.web.internal.',
    'm01.vm.web.internal. 5 IN AAAA fdaa:2:45b:a7b:174:1:1:2',
    'm02.vm.web.internal. 5 IN AAAA fdaa:2:45b:a7b:174:1:2:2',
  ])
  const negative = await dig(udp.port, 'nope.internal', 'AAAA')
  assert.match(negative, /status: NXDOMAIN/)
  assert.match(negative, /internal\.\s+5\s+IN\s+SOA\s+_api\.internal\./)
  assert.doesNotMatch(negative, /warning|malformed/i)
})

test('ten thousand apps are each found by name', () => {
  const directory = smallWorld()
  for (let at = 0; at < 10_000; at += 1) {
    const row = app(`app-${at}`)
    directory.apply({ table: 'apps', key: row.id, row })
  }
  const caller = directory.callerOf(ipv6Bytes(SOURCE))
  assert.ok(caller)
  const zone = new InternalZone(directory, PLACE)
  for (let at = 0; at < 10_000; at += 1) {
    assert.equal(zone.answer(caller, [`app-${at}`, 'internal'], 28, 1)?.rcode, 0)
  }
})

test('a silent upstream delays no .internal answer, and equal questions are asked of it once', async () => {
  const silent = createSocket('udp4')
  let asked = 0
  silent.on('message', () => {
    asked += 1
  })
  await new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve))
  const endpoint = { address: '127.0.0.1', port: silent.address().port }
  const upstream = new Upstream({ endpoints: [endpoint], tryMs: 3000 })
  await using udp = await listenUdp(LOOPBACK, serve(upstream))
  try {
    const waiting = dig(udp.port, 'example.org', 'A')
    assert.match(await dig(udp.port, '+short', 'm01.vm.web.internal', 'AAAA'), /^fdaa:/)
    assert.match(await waiting, /status: SERVFAIL/)
    asked = 0
    const packet = queryPacket('twice.example.org')
    const query = parseQuery(packet)
    assert.equal(query.kind, 'query')
    const twins = await Promise.allSettled([
      upstream.ask(packet, query),
      upstream.ask(packet, query),
    ])
    assert.deepEqual([asked, ...twins.map(({ status }) => status)], [1, 'rejected', 'rejected'])
  } finally {
    silent.close()
  }
})

test('a public name comes from the next upstream that answers, then from the cache', async () => {
  const zone = new PublicZone(smallWorld(), {
    domain: 'example.org',
    nameServers: ['ns1.example.org'],
  })
  const real = await listenUdp(LOOPBACK, authority(zone))
  const dead = { address: '127.0.0.1', port: 1 }
  const live = { address: '127.0.0.1', port: real.port }
  await using udp = await listenUdp(
    LOOPBACK,
    serve(new Upstream({ endpoints: [dead, live], tryMs: 5000 })),
  )
  assert.equal(await dig(udp.port, '+short', 'web.example.org', 'A'), '192.0.2.7')
  await real[Symbol.asyncDispose]()
  assert.equal(await dig(udp.port, '+short', 'wEb.example.org', 'A'), '192.0.2.7')
})

test('the public zone answers for apps, challenges and itself, and refuses all else', async () => {
  const directory = smallWorld()
  const row = { hostname: 'web.example.org', token: 't', kind: 'dns-01', answer: 'proof' }
  directory.apply({ table: 'acme_challenges', key: 't', row })
  const nameServers = ['ns1.example.org', 'ns2.example.org']
  const issuers = ['letsencrypt.org']
  const zone = new PublicZone(directory, { domain: 'example.org', nameServers, issuers })
  await using udp = await listenUdp(LOOPBACK, authority(zone))
  const short = (name: string, type: string) => dig(udp.port, '+short', name, type)
  assert.equal(await short('web.example.org', 'AAAA'), '2001:db8::7')
  assert.equal(await short('deep.web.example.org', 'A'), '192.0.2.7')
  assert.equal(await short('_acme-challenge.web.example.org', 'TXT'), '"proof"')
  assert.equal(await short('example.org', 'NS'), 'ns1.example.org.\nns2.example.org.')
  assert.equal(await short('example.org', 'CAA'), '0 issue "letsencrypt.org"')
  assert.match(await dig(udp.port, 'nope.example.org', 'A'), /status: NXDOMAIN/)
  assert.match(await dig(udp.port, 'example.com', 'A'), /status: REFUSED/)
  assert.match(await dig(udp.port, 'web.internal', 'AAAA'), /status: REFUSED/)
})
