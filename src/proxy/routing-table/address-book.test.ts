import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { AddressBook } from './address-book.ts'

const [OWN, OTHER] = ['192.0.2.1', '192.0.2.2']
const row = (address: string, app: string, kind = 'shared_v4') => ({
  ...{ address, app_id: app, kind, network_id: 0 },
})
const appsAt = (book: AddressBook, address: string) => [...(book.get(address)?.appIds ?? [])].sort()

test('addresses of the host lead to all apps that have a shared one, and to no others', () => {
  const book = new AddressBook([OWN, '2001:DB8:0::1'])
  assert.equal(book.get(OWN), undefined)
  assert.deepEqual([...book], [])
  book.put(row('203.0.113.1', 'a'))
  book.put(row('203.0.113.1', 'b'))
  book.put(row('203.0.113.9', 'c', 'v4'))
  book.put(row('fdaa::1', 'd', 'private_v6'))
  for (const own of [OWN, '2001:db8::1']) {
    assert.equal(book.get(own)?.kind, 'shared_v4')
    assert.deepEqual(appsAt(book, own), ['a', 'b'])
  }
  assert.equal(book.get(OTHER), undefined)
  book.put(row('203.0.113.2', 'a'))
  book.remove(row('203.0.113.1', 'a'))
  assert.deepEqual(appsAt(book, OWN), ['a', 'b'], 'it has another one')
  book.remove(row('203.0.113.2', 'a'))
  book.remove(row('203.0.113.1', 'b'))
  assert.equal(book.get(OWN), undefined)
})

test('a row that gives such an address to one app counts more', () => {
  const book = new AddressBook([OWN])
  book.put(row('203.0.113.1', 'a'))
  book.put(row(OWN, 'b', 'v4'))
  assert.deepEqual([book.get(OWN)?.kind, appsAt(book, OWN)], ['v4', ['b']])
  assert.equal([...book].filter(({ address }) => address === OWN).length, 1)
  book.remove(row(OWN, 'b', 'v4'))
  assert.deepEqual([book.get(OWN)?.kind, appsAt(book, OWN)], ['shared_v4', ['a']])
})

test('in whatever order rows come and go, the book is what those say that are there', () => {
  const address = fc.constantFrom(OWN, '203.0.113.1', '203.0.113.2')
  const step = fc.record({ address, app: fc.constantFrom('a', 'b', 'c'), isThere: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const book = new AddressBook([OWN])
      const there = new Map<string, Set<string>>()
      for (const { address, app, isThere } of steps) {
        const apps = there.get(address) ?? new Set()
        there.set(address, apps)
        if (isThere) book.put(row(address, app))
        else if (apps.has(app)) book.remove(row(address, app))
        if (isThere) apps.add(app)
        else apps.delete(app)
      }
      const all = [...new Set([...there.values()].flatMap((apps) => [...apps]))].sort()
      const own = [...(there.get(OWN) ?? [])].sort()
      assert.deepEqual(appsAt(book, OWN), own.length > 0 ? own : all)
      for (const address of ['203.0.113.1', '203.0.113.2']) {
        assert.deepEqual(appsAt(book, address), [...(there.get(address) ?? [])].sort())
      }
    }),
  )
})
