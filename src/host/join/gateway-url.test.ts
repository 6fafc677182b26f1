import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { foundCluster } from '../found-cluster.ts'
import { loadHostConfig } from '../host-config.ts'
import { gatewayUrl, ownGatewayUrl } from './gateway-url.ts'

test('the URL of a gateway has its address as URLs write it, and its port', () => {
  assert.equal(gatewayUrl('192.0.2.1'), 'https://192.0.2.1:4280')
  assert.equal(gatewayUrl('2001:db8::1'), 'https://[2001:db8::1]:4280')
})

async function gateway(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-gateway-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const region = { code: 'ams', name: 'Amsterdam', latitude: 52.3, longitude: 4.9 }
  const { hosts } = await foundCluster({
    hosts: [{ host: 'ams-1', roles: ['gateway', 'nats'], region, address: '192.0.2.1' }],
  })
  return (listen?: string) => {
    const file = join(folder, 'host.toml')
    const own = listen === undefined ? '' : `\n[gateway]\nlisten = "${listen}"\n`
    writeFileSync(file, `${hosts[0]?.config}${own}`)
    return loadHostConfig(file)
  }
}

test('a gateway knows its own by where it listens', async (t) => {
  const thatListens = await gateway(t)
  const url = (listen?: string) => ownGatewayUrl(thatListens(listen))
  assert.equal(url(), 'https://192.0.2.1:4280')
  assert.equal(url('198.51.100.7:443'), 'https://198.51.100.7:443')
  assert.equal(url('[2001:db8::7]:4280'), 'https://[2001:db8::7]:4280')
  assert.equal(url('0.0.0.0:4380'), 'https://192.0.2.1:4380')
  assert.equal(url('[::]:4280'), 'https://192.0.2.1:4280')
})
