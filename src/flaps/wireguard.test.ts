import assert from 'node:assert/strict'
import test from 'node:test'
import type { Caveat } from '#macaroon'
import { newToken } from './fixture/fixture-tokens.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'

const PEERS = '/orgs/birds/wireguard_peers'
const KEY = 'KClDtGE1CYHuaaXeU8dRCpWwiX/5pFyGSGyjLk6axxk='

test('a peer is made with all that its configuration needs, listed with what its gateway saw, and removed', async () => {
  await using world = await FlapsWorld.open()
  const made = await world.call('POST', PEERS, { body: { name: 'laptop', pubkey: KEY } })
  assert.equal(made.status, 200, JSON.stringify(made.body))
  const { peerip, ...rest } = made.body
  assert.deepEqual(rest, {
    ...{ name: 'laptop', endpointip: '192.0.2.1', endpoint: '192.0.2.1:51820' },
    ...{ pubkey: 'gateway-of-h1', region: 'ams', network: 'default' },
  })
  assert.equal(peerip, 'fdaa:0:65:a7b:1:0:a:2')
  const list = async () => (await world.call('GET', PEERS)).body.peers
  assert.deepEqual([(await list())[0].live, (await list())[0].last_handshake], [false, null])
  world.database
    .prepare(
      'INSERT INTO wireguard_links (public_key, host_id, endpoint, handshake_at) VALUES (?, ?, ?, ?)',
    )
    .run(KEY, 'h1', '198.51.100.7:4000', world.clock.nowMs())
  const [seen] = await list()
  assert.deepEqual([seen.live, seen.endpoint, seen.pubkey], [true, '198.51.100.7:4000', KEY])
  const asked = { peerIps: [peerip, 'fdaa:0:65:a7b:1:0:a:102'] }
  const validated = await world.call('POST', `${PEERS}/validate`, { body: asked })
  assert.deepEqual(validated.body, {
    validPeerIps: [peerip],
    invalidPeerIps: ['fdaa:0:65:a7b:1:0:a:102'],
  })
  assert.equal((await world.call('DELETE', `${PEERS}/laptop`)).status, 204)
  assert.equal((await world.call('DELETE', `${PEERS}/laptop`)).status, 404)
  assert.deepEqual(await list(), [])
})

test('a region without a gateway is refused, and says where there is one', async () => {
  await using world = await FlapsWorld.open()
  const body = { name: 'laptop', pubkey: KEY, region: 'nrt' }
  const refused = await world.call('POST', PEERS, { body })
  assert.equal(refused.status, 422)
  assert.match(refused.body.error, /no WireGuard gateway in region nrt; there is one in ams/)
})

test('tokens of the profile ssh may make a peer and nothing else of it; those for another feature may not', async () => {
  await using world = await FlapsWorld.open()
  const org: Caveat = { type: 'Organization', body: { id: 101, mask: 0x1f } }
  const features = (name: string): Caveat => ({
    type: 'FeatureSet',
    body: { features: new Map([[name, 0x1f]]) },
  })
  const only: Caveat = { type: 'Mutations', body: { mutations: ['addWireGuardPeer'] } }
  const create = async (...caveats: Caveat[]) => {
    const body = { name: `peer-${caveats.length}`, pubkey: KEY }
    return (await world.call('POST', PEERS, { body, token: newToken(caveats) })).status
  }
  assert.equal(await create(org, features('wg'), only), 200)
  assert.equal(await create(org, features('builder')), 403)
  const token = newToken([org, features('wg'), only])
  assert.equal((await world.call('DELETE', `${PEERS}/peer-3`, { token })).status, 403)
})
