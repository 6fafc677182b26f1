import assert from 'node:assert/strict'
import test from 'node:test'
import { FlapsWorld } from './fixture/flaps-world.ts'

const keys = '/apps/heron/secretkeys'
const base64 = (text: string) => Buffer.from(text).toString('base64')

test('a secret key is made, encrypts, decrypts and goes, and is never shown', async () => {
  await using world = await FlapsWorld.open()
  const made = await world.call('POST', `${keys}/box/generate`, {
    body: { type: 'nacl_box', value: null },
  })
  assert.equal(made.status, 201)
  assert.equal(Buffer.from(made.body.public_key, 'base64').length, 32)
  assert.deepEqual(Object.keys(made.body).sort(), [
    ...['Version', 'created_at', 'name', 'public_key', 'type', 'updated_at', 'version'],
  ])
  const plaintext = base64('heron')
  const encrypted = await world.call('POST', `${keys}/box/encrypt`, { body: { plaintext } })
  assert.equal(encrypted.status, 200)
  const decrypted = await world.call('POST', `${keys}/box/decrypt`, { body: encrypted.body })
  assert.deepEqual(decrypted.body, { plaintext })
  const forged = await world.call('POST', `${keys}/box/decrypt`, { body: { ciphertext: 'AAAA' } })
  assert.equal(forged.status, 400)
  assert.match(forged.body.error, /^invalid_argument: /)
  const listed = await world.call('GET', `${keys}?types=hs256,nacl_box`)
  assert.deepEqual(
    listed.body.secret_keys.map(({ name }: { name: string }) => name),
    ['box'],
  )
  assert.deepEqual((await world.call('GET', `${keys}?types=hs256`)).body, { secret_keys: [] })
  assert.equal((await world.call('GET', `${keys}/box`)).body.type, 'nacl_box')
  assert.equal((await world.call('DELETE', `${keys}/box`)).status, 200)
  assert.equal((await world.call('GET', `${keys}/box`)).status, 404)
  assert.equal((await world.call('DELETE', `${keys}/box`)).status, 404)
})

test('a signature verifies as 204, and as 400 once anything in it is different', async () => {
  await using world = await FlapsWorld.open()
  const value = Buffer.alloc(32, 7).toString('base64')
  await world.call('POST', `${keys}/mac`, { body: { type: 'hs256', value } })
  const plaintext = base64('heron')
  const { body } = await world.call('POST', `${keys}/mac/sign`, { body: { plaintext } })
  const verify = (signature: string) =>
    world.call('POST', `${keys}/mac/verify`, { body: { plaintext, signature } })
  assert.equal((await verify(body.signature)).status, 204)
  assert.equal((await verify(base64('heron'))).status, 400)
  assert.equal((await verify('not base64')).status, 400)
  const other = await world.call('POST', `${keys}/mac/encrypt`, { body: { plaintext } })
  assert.equal(other.status, 400)
})

test('keys of a type that nobody knows, or of another length, are 400', async () => {
  await using world = await FlapsWorld.open()
  const set = (body: unknown) => world.call('POST', `${keys}/k`, { body })
  assert.equal((await set({ type: 'rot13', value: 'AAAA' })).status, 400)
  assert.equal((await set({ type: 'hs256', value: 'AAAA' })).status, 400)
  assert.equal((await set({ type: 'hs256', value: '*' })).status, 400)
  assert.equal((await set({ type: 'hs256' })).status, 400)
})
