import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import test from 'node:test'
import { KeyRing, openAccounts } from '#accounts'
import { createLog, systemClock, systemRandom } from '#base'
import { ClusterKey, gatewayPlaces, gatewaySecrets, type MachineSeen } from '#flyd'
import { newKeyLine } from '#seal'
import { MemoryPlacement } from './fixture/flaps-world.ts'
import { type GatewayCall, serveGatewayApi } from './gateway-api.ts'
import { placesCall } from './places-call.ts'
import { secretsCall } from './secrets-call.ts'

const by = { who: 'cli:test', requestId: '01TEST' }
const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })
const listen = { host: '127.0.0.1', port: 0 }
const never = new AbortController().signal
const key = new ClusterKey(Buffer.alloc(32, 1))

function accountsWithSecrets() {
  const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
  const accounts = openAccounts({ path: ':memory:', ring })
  accounts.createOrganization(by, { slug: 'birds' })
  accounts.createApp(by, { organization: 'birds', app: 'heron' })
  const { version } = accounts.setSecrets(by, { app: 'heron', values: { TOKEN: 's3', OTHER: 'x' } })
  return { accounts, version }
}

const serve = (...calls: GatewayCall[]) =>
  serveGatewayApi({ calls, key, listen, clock: systemClock, log })

const sourceOf = (port: number, given = key) =>
  gatewaySecrets({ hostId: 'h1', gateways: async () => ['127.0.0.1'], port, key: given })

test('a host gets the secrets of an app from a gateway, and the audit log says so', async () => {
  const { accounts, version } = accountsWithSecrets()
  using _held = accounts
  await using server = await serve(secretsCall(accounts))
  const source = sourceOf(server.port)
  assert.deepEqual(await source.secretsOf('heron', version, never), { TOKEN: 's3', OTHER: 'x' })
  assert.equal(accounts.audit({ operation: 'openSecrets' })[0]?.target['host'], 'h1')
})

test('who has another key gets none, nor does one who asks for a version that is not there yet', async () => {
  const { accounts, version } = accountsWithSecrets()
  using _held = accounts
  await using server = await serve(secretsCall(accounts))
  const other = sourceOf(server.port, new ClusterKey(Buffer.alloc(32, 2)))
  await assert.rejects(other.secretsOf('heron', version, never), { code: 'host.denied' })
  const source = sourceOf(server.port)
  await assert.rejects(source.secretsOf('heron', version + 1, never), { code: 'flyd.conflict' })
  await assert.rejects(source.secretsOf('none', 0, never))
  assert.equal(accounts.audit({ operation: 'openSecrets' }).length, 0)
})

test('without a gateway in reach the last known secrets serve, but not for a newer version', async () => {
  const { accounts, version } = accountsWithSecrets()
  using _held = accounts
  const server = await serve(secretsCall(accounts))
  const source = sourceOf(server.port)
  await source.secretsOf('heron', version, never)
  await server[Symbol.asyncDispose]()
  assert.equal((await source.secretsOf('heron', version, never))['TOKEN'], 's3')
  await assert.rejects(source.secretsOf('heron', version + 1, never), {
    code: 'flyd.host_unreached',
  })
})

test('who listens on the way learns no secret, and who changes what travels is found out', async () => {
  const { accounts, version } = accountsWithSecrets()
  using _held = accounts
  accounts.setSecrets(by, { app: 'heron', values: { LONG: 'correct horse battery staple' } })
  await using server = await serve(secretsCall(accounts))
  const heard: Buffer[] = []
  let isChanging = false
  const middle = createServer((caller) => {
    const gateway = connect(server.port, '127.0.0.1')
    caller.on('data', (bytes: Buffer) => heard.push(bytes))
    caller.pipe(gateway)
    gateway.on('data', (bytes: Buffer) => {
      heard.push(bytes)
      const text = bytes.toString('latin1')
      caller.write(isChanging ? text.replace(/"box":"./, '"box":"_') : text, 'latin1')
    })
    const end = () => {
      caller.destroy()
      gateway.destroy()
    }
    for (const one of [caller, gateway]) one.on('close', end).on('error', end)
  })
  await new Promise<void>((resolve) => middle.listen(0, '127.0.0.1', resolve))
  try {
    const source = sourceOf((middle.address() as AddressInfo).port)
    const secrets = await source.secretsOf('heron', version, never)
    assert.equal(secrets['LONG'], 'correct horse battery staple')
    const all = Buffer.concat(heard).toString('latin1')
    assert.match(all, /heron/, 'it did listen')
    const base64 = Buffer.from('correct horse battery').toString('base64').slice(0, 20)
    assert.ok(!all.includes('horse') && !all.includes(base64))
    isChanging = true
    await assert.rejects(source.secretsOf('heron', version, never), { code: 'host.denied' })
  } finally {
    middle.close()
  }
})

test('a host that drains is given room elsewhere, or told why there is none', async () => {
  const placement = new MemoryPlacement()
  await using server = await serve(placesCall(placement))
  const place = gatewayPlaces({ gateways: async () => ['127.0.0.1'], port: server.port, key })
  const guest = { cpu_kind: 'shared', cpus: 2, memory_mb: 512 }
  const about = { id: '148ed599c14189', appId: 'app1', region: 'ams' }
  const machine = { ...about, config: { image: 'nginx', guest } } as unknown as MachineSeen
  assert.equal((await place(machine, never)).hostId, 'h1')
  assert.deepEqual(placement.requests[0]?.guest, { cpuKind: 'shared', cpus: 2, memoryMb: 512 })
  assert.deepEqual(placement.requests[0]?.regions, ['ams'])
  placement.full.add('h1')
  await assert.rejects(place(machine, never), { code: 'flyd.conflict', message: /memory/ })
})
