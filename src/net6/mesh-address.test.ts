import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { systemClock } from '#base'
import { ensureHostField, moveHostField } from './host-number.ts'
import { gossipAddressOf, hostFieldMoved, MESH, ownAddress } from './mesh-address.ts'

function stateFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-mesh-address-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('an address that is written out is taken as it is, without a network', async (t) => {
  const { address } = await ownAddress('192.0.2.7', { folder: stateFolder(t) })
  assert.equal(address, '192.0.2.7')
})

test('who waits for the mesh in vain is told so, before a number is chosen and after', async (t) => {
  const folder = stateFolder(t)
  const wanted = { folder, hostId: 'ams-1', deadlineMs: 50 }
  const away = { code: 'net6.mesh_away', message: /godwit host status/ }
  await assert.rejects(ownAddress(MESH, wanted), away)
  await ensureHostField(folder, 'ams-1', async () => [])
  await assert.rejects(ownAddress(MESH, wanted), { code: 'net6.mesh_away', message: /fdaa:a7b:/ })
  await assert.rejects(ownAddress(MESH, { ...wanted, hostId: 'iad-1' }), {
    code: 'net6.state_bad',
  })
})

test('a host that gives its number away is noticed', async (t) => {
  const folder = stateFolder(t)
  const host = await ensureHostField(folder, 'ams-1', async () => [])
  let looks = 0
  const clock = {
    ...systemClock,
    async sleep() {
      looks += 1
      if (looks === 2) await moveHostField(folder, 'ams-1', host + 1)
    },
  }
  const { signal } = new AbortController()
  await hostFieldMoved({ folder, hostId: 'ams-1', host }, clock, signal)
  assert.equal(looks, 2)
})

test('a host gossips where its WireGuard is found, and without a mesh where it is reached', () => {
  const at = (endpoint: string, backhaul: string) =>
    gossipAddressOf({ mesh_endpoint: endpoint, backhaul_ip: backhaul })
  assert.equal(at('192.0.2.7:51820', 'fdaa:a7b:1::1'), '192.0.2.7')
  assert.equal(at('[2001:db8::7]:51821', 'fdaa:a7b:1::1'), '2001:db8::7')
  assert.equal(at('', '10.0.0.1'), '10.0.0.1')
  assert.equal(at('', 'fdaa:a7b:1::1'), undefined)
  assert.equal(at('', ''), undefined)
})
