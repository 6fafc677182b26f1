import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { newKeyLine } from '#seal'
import type { Accounts } from './accounts.ts'
import { KeyRing } from './key-ring.ts'
import { openAccounts } from './open-accounts.ts'

const call = { who: 'cli:test', requestId: '01TEST' }
const random = seededRandom(3)

function open(): Accounts {
  const accounts = openAccounts({
    path: ':memory:',
    ring: new KeyRing(newKeyLine('first', random), random),
  })
  for (const slug of ['birds', 'fish']) accounts.createOrganization(call, { slug })
  return accounts
}

const newKey = () => Buffer.from(random.bytes(32)).toString('base64')
const addressOf = (network: number, slot: number) => `${network}/${slot}`

test('a peer has a name, a key and an address that no other one has', () => {
  using accounts = open()
  const add = (organization: string, name: string, publicKey = newKey(), gateway = 'ams-1') =>
    accounts.addWireguardPeer(call, {
      organization,
      name,
      publicKey,
      gateway,
      region: 'ams',
      addressOf,
    })
  const key = newKey()
  const first = add('birds', 'laptop', key)
  const second = add('birds', 'phone')
  assert.deepEqual([first.peerIp, second.peerIp], ['1/0', '1/1'])
  assert.notEqual(add('fish', 'laptop').networkId, first.networkId)
  assert.throws(() => add('birds', 'laptop'), { code: 'accounts.taken' })
  assert.throws(() => add('fish', 'other', key), { code: 'accounts.taken' })
  for (const name of ['', '-a', 'a b', 'a.b', 'x'.repeat(64)]) {
    assert.throws(() => add('birds', name), { code: 'accounts.bad_input' })
  }
  assert.throws(() => add('birds', 'tv', 'AAAA'), { code: 'accounts.bad_input' })
  accounts.removeWireguardPeer(call, { organization: 'birds', name: 'laptop' })
  assert.throws(
    () => accounts.removeWireguardPeer(call, { organization: 'birds', name: 'laptop' }),
    {
      code: 'accounts.not_found',
    },
  )
  assert.deepEqual(
    accounts.wireguardPeers('birds').map(({ name }) => name),
    ['phone'],
  )
  const [entry] = accounts.audit({ operation: 'addWireguardPeer', organization: 'birds' })
  assert.equal(entry?.who, call.who)
  assert.ok(!JSON.stringify(accounts.audit({ limit: 1_000 })).includes(key))
})

test('a network has 256 peers at a gateway, and more at another one', () => {
  using accounts = open()
  const add = (name: string, gateway: string) =>
    accounts.addWireguardPeer(call, {
      ...{ organization: 'birds', name, publicKey: newKey(), gateway, region: 'ams' },
      addressOf: (network, slot) => `${gateway}/${network}/${slot}`,
    })
  for (let slot = 0; slot < 256; slot += 1) add(`peer-${slot}`, 'ams-1')
  assert.throws(() => add('one-more', 'ams-1'), { code: 'accounts.bad_input' })
  assert.equal(add('one-more', 'iad-1').peerIp, 'iad-1/1/0')
  accounts.removeWireguardPeer(call, { organization: 'birds', name: 'peer-7' })
  assert.equal(add('again', 'ams-1').peerIp, 'ams-1/1/7')
})
