import assert from 'node:assert/strict'
import { test } from 'node:test'
import { app, ask, machine, smallWorld } from '../fixture/world.ts'
import { RCODE, TYPE } from '../wire/constants.ts'

const M01 = 'fdaa:2:45b:a7b:174:1:1:2'
const M02 = 'fdaa:2:45b:a7b:174:1:2:2'

test('each AAAA form names the started machines that it promises', () => {
  const forms: Record<string, string[]> = {
    'web.internal': [M01, M02],
    'WEB.Internal': [M01, M02],
    'global.web.internal': [M01, M02],
    'nrt.web.internal': [M02],
    'fra.web.internal': [],
    'top1.nearest.of.web.internal': [M01],
    'top2.nearest.of.web.internal': [M01, M02],
    'm02.vm.web.internal': [M02],
    'm03.vm.web.internal': [],
    'worker.process.web.internal': [M02],
    'leader.role.kv._metadata.web.internal': [M02],
    'laptop._peer.internal': ['fdaa:2:45b:a7b:175:0:a:2'],
    '_api.internal': ['fdaa:2:45b::3'],
    'alien.flycast': ['fdaa:2:45b:0:1::7'],
    'db.internal': [],
  }
  for (const [name, data] of Object.entries(forms)) {
    const answer = ask(smallWorld(), name)
    assert.deepEqual([answer?.rcode, answer?.data], [RCODE.NOERROR, data], name)
  }
})

test('each TXT form is one record with its list', () => {
  const forms: Record<string, string> = {
    '_apps.internal': 'db,web',
    'regions.web.internal': 'ams,nrt',
    'all.regions.web.internal': 'ams,fra,nrt',
    'vms.web.internal': 'm01 ams,m02 nrt',
    'all.vms.web.internal': 'm01 ams,m02 nrt,m03 ams,m04 fra',
    '_peer.internal': 'laptop',
    '_instances.internal': `instance=m01,app=web,ip=${M01},region=ams;instance=m02,app=web,ip=${M02},region=nrt`,
  }
  for (const [name, text] of Object.entries(forms)) {
    assert.deepEqual(ask(smallWorld(), name, TYPE.TXT)?.data, [text], name)
  }
})

test('a name without records of the type is NODATA, an unknown name NXDOMAIN, both with SOA', () => {
  const cases: [string, number, number][] = [
    ['web.internal', TYPE.A, RCODE.NOERROR],
    ['web.internal', TYPE.TXT, RCODE.NOERROR],
    ['vms.db.internal', TYPE.TXT, RCODE.NOERROR],
    ['vm.web.internal', TYPE.AAAA, RCODE.NOERROR],
    ['nope.internal', TYPE.AAAA, RCODE.NXDOMAIN],
    ['alien.internal', TYPE.AAAA, RCODE.NXDOMAIN],
    ['m05.vm.web.internal', TYPE.AAAA, RCODE.NXDOMAIN],
    ['interactive-x._peer.internal', TYPE.AAAA, RCODE.NXDOMAIN],
    ['web.flycast', TYPE.AAAA, RCODE.NXDOMAIN],
    ['a.b.c.web.internal', TYPE.AAAA, RCODE.NXDOMAIN],
  ]
  for (const [name, type, rcode] of cases) {
    assert.deepEqual(
      ask(smallWorld(), name, type),
      { rcode, authority: [TYPE.SOA], data: [] },
      name,
    )
  }
})

test('the reverse name of a machine is its machine name, in its own network alone', () => {
  const reverse = (hex: string) => `${[...hex].reverse().join('.')}.ip6.arpa`
  const own = ask(smallWorld(), reverse('fdaa0002045b0a7b0174000100010002'), TYPE.PTR)
  assert.deepEqual(own?.data, ['m01.vm.web.internal.'])
  const foreign = ask(smallWorld(), reverse('fdaa000209990a7b0174000100060002'), TYPE.PTR)
  assert.equal(foreign?.rcode, RCODE.NXDOMAIN)
})

test('a reverse name whose machine name would be too long is NODATA', () => {
  const directory = smallWorld()
  const row = app('x'.repeat(64), { id: 'app_web' })
  directory.apply({ table: 'apps', key: 'app_web', row })
  const name = [...'fdaa0002045b0a7b0174000100010002'].reverse().join('.')
  const answer = ask(directory, `${name}.ip6.arpa`, TYPE.PTR)
  assert.deepEqual(answer, { rcode: RCODE.NOERROR, authority: [TYPE.SOA], data: [] })
})

test('a network that no row names, or that two organisations claim, gets no answers', () => {
  assert.equal(ask(smallWorld(), 'web.internal', TYPE.AAAA, 'fdaa:7:7::1'), undefined)
  const directory = smallWorld()
  directory.apply({ table: 'apps', key: 'x', row: app('x', { orgId: 'evil' }) })
  assert.equal(ask(directory, 'web.internal'), undefined)
  directory.apply({ table: 'apps', key: 'x', row: undefined })
  assert.equal(ask(directory, 'web.internal')?.data.length, 2)
})

test('a machine that stops is gone with the next question', () => {
  const directory = smallWorld()
  directory.apply({ table: 'machines', key: 'm01', row: machine('m01', { state: 'stopped' }) })
  assert.deepEqual(ask(directory, 'web.internal')?.data, [M02])
  directory.apply({ table: 'machines', key: 'm02', row: undefined })
  assert.deepEqual(ask(directory, 'web.internal')?.data, [])
})
