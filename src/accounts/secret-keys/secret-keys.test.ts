import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { errorCode, seededRandom, systemRandom } from '#base'
import { newKeyLine } from '#seal'
import { KeyRing } from '../key-ring.ts'
import { openAccounts } from '../open-accounts.ts'
import { keyKindOf, SECRET_KEY_TYPES } from './key-type.ts'
import type { KeyUse } from './use-key.ts'
import { openXaes, sealXaes } from './xaes256gcm.ts'

const call = { who: 'cli:test', requestId: '01TEST' }
const text = Buffer.from('a heron at the pond')
const isBad = (error: unknown) => errorCode(error) === 'accounts.bad_input'

function furnished() {
  const ring = new KeyRing(newKeyLine('first', seededRandom(1)), systemRandom)
  const accounts = openAccounts({ path: ':memory:', ring })
  accounts.createOrganization(call, { slug: 'acme' })
  accounts.createApp(call, { organization: 'acme', app: 'web' })
  return accounts
}

const flipped = (bytes: Uint8Array, at: number) =>
  bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))

test('XAES-256-GCM gives the bytes of its specification', () => {
  const nonce = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWX')
  const plaintext = Buffer.from('XAES-256-GCM')
  const ones = sealXaes(Buffer.alloc(32, 1), nonce, plaintext, Buffer.alloc(0))
  assert.equal(ones.toString('hex'), 'ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271')
  const aad = Buffer.from('c2sp.org/XAES-256-GCM')
  const threes = sealXaes(Buffer.alloc(32, 3), nonce, plaintext, aad)
  assert.equal(threes.toString('hex'), '986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d')
  assert.deepEqual(openXaes(Buffer.alloc(32, 3), nonce, threes, aad), plaintext)
})

for (const type of SECRET_KEY_TYPES) {
  test(`a key of type ${type} does what it can, and refuses what was changed`, () => {
    using accounts = furnished()
    const { key } = accounts.setSecretKey(call, { app: 'web', name: 'k', type })
    assert.equal(key.type, type)
    const kind = keyKindOf(type)
    assert.equal(key.publicKey !== undefined, kind.publicKey !== undefined)
    const use = accounts.useSecretKey
    if (kind.encrypt !== undefined) {
      const ciphertext = use('web', 'k', { to: 'encrypt', plaintext: text })
      const opened = use('web', 'k', { to: 'decrypt', ciphertext })
      assert.deepEqual(Buffer.from(opened), text)
      for (const at of [0, 40, ciphertext.length - 1]) {
        const changed = flipped(ciphertext, at)
        assert.throws(() => use('web', 'k', { to: 'decrypt', ciphertext: changed }), isBad)
      }
      const cut = ciphertext.subarray(0, 10)
      assert.throws(() => use('web', 'k', { to: 'decrypt', ciphertext: cut }), isBad)
    } else {
      assert.throws(() => use('web', 'k', { to: 'encrypt', plaintext: text }), isBad)
    }
    if (kind.sign !== undefined) {
      const signature = use('web', 'k', { to: 'sign', plaintext: text })
      use('web', 'k', { to: 'verify', plaintext: text, signature })
      const changed = flipped(signature, 3)
      assert.throws(
        () => use('web', 'k', { to: 'verify', plaintext: text, signature: changed }),
        isBad,
      )
      const empty = Buffer.alloc(0)
      assert.throws(
        () => use('web', 'k', { to: 'verify', plaintext: text, signature: empty }),
        isBad,
      )
    } else {
      assert.throws(() => use('web', 'k', { to: 'sign', plaintext: text }), isBad)
    }
  })
}

test('what es256 signs anybody can verify with the public key alone', () => {
  using accounts = furnished()
  const { key } = accounts.setSecretKey(call, { app: 'web', name: 'k', type: 'es256' })
  const signature = accounts.useSecretKey('web', 'k', { to: 'sign', plaintext: text })
  const der = Buffer.from(key.publicKey ?? [])
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
  assert.ok(verify('sha256', text, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature))
})

test('associated data counts, where a type takes it, and is refused elsewhere', () => {
  using accounts = furnished()
  const use = accounts.useSecretKey
  accounts.setSecretKey(call, { app: 'web', name: 'x', type: 'xaes256gcm' })
  accounts.setSecretKey(call, { app: 'web', name: 's', type: 'nacl_secretbox' })
  const associatedData = Buffer.from('row 7')
  const ciphertext = use('web', 'x', { to: 'encrypt', plaintext: text, associatedData })
  assert.throws(() => use('web', 'x', { to: 'decrypt', ciphertext }), isBad)
  assert.deepEqual(
    Buffer.from(use('web', 'x', { to: 'decrypt', ciphertext, associatedData })),
    text,
  )
  assert.throws(() => use('web', 's', { to: 'encrypt', plaintext: text, associatedData }), isBad)
})

test('keys of a bad type, length, value or name are refused, and nothing changes', () => {
  using accounts = furnished()
  const set = (name: string, type: string, key?: Uint8Array) => () =>
    accounts.setSecretKey(call, { app: 'web', name, type, key })
  assert.throws(set('k', 'rot13'), isBad)
  assert.throws(set('k', 'toString'), isBad)
  assert.throws(set('k', 'hs256', Buffer.alloc(31)), isBad)
  assert.throws(set('k', 'nacl_auth', Buffer.alloc(33)), isBad)
  assert.throws(set('k', 'es256', Buffer.alloc(32)), isBad) // zero is no scalar
  assert.throws(set('', 'hs256'), isBad)
  assert.deepEqual(accounts.secretKeys('web'), [])
  assert.equal(accounts.secrets('web').version, 0)
})

test('every change is a version, and the audit log has no key in it', () => {
  using accounts = furnished()
  assert.equal(accounts.setSecretKey(call, { app: 'web', name: 'k', type: 'hs512' }).version, 1)
  assert.equal(accounts.setSecretKey(call, { app: 'web', name: 'k', type: 'hs256' }).version, 2)
  assert.equal(accounts.secretKeys('web').length, 1)
  assert.equal(accounts.removeSecretKey(call, { app: 'web', name: 'k' }).version, 3)
  assert.throws(
    () => accounts.removeSecretKey(call, { app: 'web', name: 'k' }),
    (error) => errorCode(error) === 'accounts.not_found',
  )
  const targets = accounts.audit().map(({ target }) => JSON.stringify(target))
  assert.ok(targets.every((target) => !target.includes('"key"')))
})

test('keys outlive the ring that sealed them, and go with their app', () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-secret-keys-'))
  try {
    const [first, second] = [newKeyLine('first', systemRandom), newKeyLine('second', systemRandom)]
    const open = (lines: string) =>
      openAccounts({ path: join(folder, 'accounts.db'), ring: new KeyRing(lines, systemRandom) })
    const use = (lines: string, how: KeyUse) => {
      using accounts = open(lines)
      return accounts.useSecretKey('web', 'k', how)
    }
    {
      using accounts = open(first)
      accounts.createOrganization(call, { slug: 'acme' })
      accounts.createApp(call, { organization: 'acme', app: 'web' })
      accounts.setSecretKey(call, { app: 'web', name: 'k', type: 'nacl_secretbox' })
      accounts.addIdentityKey(call, {})
    }
    const ciphertext = use(first, { to: 'encrypt', plaintext: text })
    {
      using accounts = open(first + second)
      assert.equal(accounts.reseal(call, {}), 2)
    }
    assert.deepEqual(Buffer.from(use(second, { to: 'decrypt', ciphertext })), text)
    using accounts = open(second)
    const [identity] = accounts.identityKeys()
    assert.ok(accounts.signIdentity(identity?.kid ?? '', 'text').length > 0)
    accounts.deleteApp(call, { app: 'web' })
    accounts.createApp(call, { organization: 'acme', app: 'web' })
    assert.deepEqual(accounts.secretKeys('web'), [])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
