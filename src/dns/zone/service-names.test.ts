import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Directory } from '../directory/directory.ts'
import {
  app,
  ask,
  machine,
  offer,
  PLACE,
  queryPacket,
  SOURCE,
  service,
  smallWorld,
} from '../fixture/world.ts'
import { resolver } from '../resolver.ts'
import { walkRecords } from '../upstream/answer-cache.ts'
import { RCODE, TYPE } from '../wire/constants.ts'
import { InternalZone } from './internal-zone.ts'

const M01 = '1 1 8080 m01.vm.web.internal.'
const M02 = '1 1 8080 m02.vm.web.internal.'
const ADDRESSES = ['fdaa:2:45b:a7b:174:1:1:2', 'fdaa:2:45b:a7b:174:1:2:2']

/** The small world, whose web serves HTTP; m02 has a game at UDP, too, m06 of the other network the same as web. */
function servingWorld(): Directory {
  const directory = smallWorld()
  offer(directory, ...['m01', 'm02', 'm03', 'm05', 'm06'].map((id) => service(id)))
  const range = [{ first: 7000, last: 7010, handlers: [] }]
  offer(directory, service('m02', { protocol: 'udp', internalPort: 7000, ports: range }))
  offer(directory, service('m02', { internalPort: 9000, ports: [] }))
  return directory
}

const srv = (name: string, directory = servingWorld()) => ask(directory, name, TYPE.SRV)
const check = (directory: Directory, machineId: string, status: string, isOfService = true) =>
  directory.apply({
    table: 'checks',
    key: `${machineId}/http`,
    row: { machineId, status, isOfService },
  })

test('a service has an SRV record for each started machine, and the addresses of their names', () => {
  const forms: Record<string, string[]> = {
    '_http._tcp.web.internal': [M01, M02],
    '_HTTP._TCP.Web.Internal': [M01, M02],
    '_80._tcp.web.internal': [M01, M02],
    '_443._tcp.global.web.internal': [M01, M02],
    '_http._tcp.nrt.web.internal': [M02],
    '_http._tcp.m01.vm.web.internal': [M01],
    '_http._tcp.m03.vm.web.internal': [],
    '_http._tcp.worker.process.web.internal': [M02],
    '_http._tcp.leader.role.kv._metadata.web.internal': [M02],
    '_http._tcp.top2.nearest.of.web.internal': [M01, M02.replace('1', '2')],
    '_7003._udp.web.internal': ['1 1 7000 m02.vm.web.internal.'],
    '_9000._tcp.web.internal': ['1 1 9000 m02.vm.web.internal.'],
    '_tcp.web.internal': [],
  }
  for (const [name, data] of Object.entries(forms)) {
    const answer = srv(name)
    assert.deepEqual([answer?.rcode, answer?.data], [RCODE.NOERROR, data], name)
  }
  assert.deepEqual(srv('_http._tcp.web.internal')?.additional, ADDRESSES)
})

test('a service that no deployed machine has, or of another network, is no name', () => {
  const names = [
    '_8080._tcp.web.internal', // not public: 80 is
    '_7003._tcp.web.internal',
    '_7011._udp.web.internal',
    '_http._udp.web.internal',
    '_http._tcp.db.internal',
    '_http._tcp.alien.internal',
    '_http._tcp.m06.vm.web.internal',
    '_http._tcp.nowhere.web.internal',
    '_smtp._tcp.web.internal',
    '_080._tcp.web.internal',
    '_http.web.internal',
    '_http._sctp.web.internal',
  ]
  for (const name of names) {
    assert.deepEqual(srv(name), { rcode: RCODE.NXDOMAIN, authority: [TYPE.SOA], data: [] }, name)
  }
  const none = ask(servingWorld(), '_http._tcp.web.internal', TYPE.AAAA)
  assert.deepEqual(none, { rcode: RCODE.NOERROR, authority: [TYPE.SOA], data: [] })
})

test('a machine whose check fails, or that is cordoned, serves nothing until that is over', () => {
  const directory = servingWorld()
  const name = '_http._tcp.web.internal'
  check(directory, 'm01', 'critical')
  assert.deepEqual(srv(name, directory)?.data, [M02])
  directory.apply({ table: 'machines', key: 'm02', row: machine('m02', { isCordoned: true }) })
  assert.deepEqual(srv(name, directory), {
    rcode: RCODE.NOERROR,
    authority: [TYPE.SOA],
    data: [],
  })
  check(directory, 'm01', 'critical', false) // of the machine, not of a service: the proxy does not heed it
  assert.deepEqual(srv(name, directory)?.data, [M01])
  assert.deepEqual(ask(directory, 'web.internal')?.data, ADDRESSES)
  check(directory, 'm01', 'warning')
  assert.deepEqual(srv(name, directory)?.data, [])
  check(directory, 'm01', 'passing')
  assert.deepEqual(srv(name, directory)?.data, [M01])
})

test('rows that make no sense are no records', () => {
  for (const internalPort of [0, -1, 65_536, 80.5, Number.NaN]) {
    const directory = smallWorld()
    offer(directory, service('m01', { internalPort }))
    assert.equal(srv('_http._tcp.web.internal', directory)?.rcode, RCODE.NXDOMAIN)
  }
  const directory = smallWorld()
  directory.apply({ table: 'apps', key: 'app_web', row: app('x'.repeat(60), { id: 'app_web' }) })
  const id = 'm'.repeat(64)
  directory.apply({
    table: 'machines',
    key: id,
    row: machine(id, { privateIp: ADDRESSES[0] ?? '' }),
  })
  offer(directory, service(id))
  const answer = srv(`_http._tcp.${'x'.repeat(60)}.internal`, directory)
  assert.deepEqual([answer?.rcode, answer?.data], [RCODE.NOERROR, []])
})

test('addresses that have no room are left out, records that have none are cut with TC', () => {
  const directory = smallWorld()
  const callerOf = (source: string) => directory.callerOfSource(source)
  const handle = resolver({ zone: new InternalZone(directory, PLACE), callerOf })
  const packet = queryPacket('_http._tcp.web.internal', TYPE.SRV)
  const counts = (channel: 'udp' | 'tcp') => {
    const reply = handle(packet, SOURCE, channel)
    assert.ok(Buffer.isBuffer(reply))
    walkRecords(reply)
    const isCut = (reply.readUInt16BE(2) & 0x0200) !== 0
    return { answers: reply.readUInt16BE(6), additional: reply.readUInt16BE(10), isCut }
  }
  const grow = (from: number, to: number) => {
    for (let at = from; at < to; at += 1) {
      const id = `m${(0x100 + at).toString(16)}`
      directory.apply({ table: 'machines', key: id, row: machine(id) })
      offer(directory, service(id))
    }
  }
  grow(0, 8)
  assert.deepEqual(counts('udp'), { answers: 8, additional: 5, isCut: false })
  assert.deepEqual(counts('tcp'), { answers: 8, additional: 8, isCut: false })
  grow(8, 12)
  assert.deepEqual(counts('udp'), { answers: 11, additional: 0, isCut: true })
  grow(12, 600)
  const { answers, additional, isCut } = counts('tcp')
  assert.deepEqual([answers, isCut], [600, false])
  assert.ok(additional > 300 && additional < 600) // no pointer reaches farther than 16 KB
})
