import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createSecureContext, createServer as createTlsServer } from 'node:tls'
import { createLog, seededRandom, systemClock, systemRandom } from '#base'
import { newKeyLine } from '#seal'
import { number, type PlatformRow, text } from '../routing-table/platform-rows.ts'
import { acmeAuthority } from './acme-authority.ts'
import { AcmeServer } from './acme-server.fixture.ts'
import { CertificateOrders, type CertificateRows, type DnsHook } from './certificate-orders.ts'
import { CertificateStore } from './certificate-store.ts'
import { EdgeKeyRing } from './edge-key-ring.ts'
import { makePrivateKey } from './issue-certificate.ts'
import { OrderRecords } from './order-records.ts'

const log = createLog({ part: 'proxy', level: 'fatal' })
const keys = new EdgeKeyRing(newKeyLine('k1', systemRandom), systemRandom)

/** An authority, a host that orders, and an edge that shows what rows say: on ports that the authority knows. */
async function stage() {
  const authority = await new AcmeServer().start()
  const folder = mkdtempSync(join(tmpdir(), 'godwit-acme-'))
  let skewMs = 0
  const clock = { ...systemClock, nowMs: () => Date.now() + skewMs }
  const store = new CertificateStore({ keys, nowMs: clock.nowMs, log })
  const certs: PlatformRow[] = []
  const challenges = new Map<string, PlatformRow>()
  let failAt: string | undefined
  const guard = (call: string) => {
    if (failAt === call) throw new Error(`killed in ${call}`)
  }
  const rows: CertificateRows = {
    putCertificate: async (row) => {
      guard('putCertificate')
      certs.push(row)
      store.put(row)
    },
    putChallenge: async (row) => {
      guard('putChallenge')
      challenges.set(text(row, 'token'), row)
      await store.putChallenge(row)
    },
    removeChallenge: async (_hostname, token) => {
      const row = challenges.get(token)
      challenges.delete(token)
      if (row !== undefined) store.removeChallenge(row)
    },
  }
  const http = createServer((request, response) => {
    const token = request.url?.split('/').at(-1) ?? ''
    const answer = store.httpAnswer(request.headers.host ?? '', token)
    response.writeHead(answer === undefined ? 404 : 200).end(answer)
  }).listen(0, '127.0.0.1')
  const tls = createTlsServer({
    ALPNProtocols: ['acme-tls/1'],
    SNICallback: (name, done) => {
      const found = store.challenge(name)
      done(null, found && createSecureContext({ cert: found.chain, key: found.key }))
    },
  }).listen(0, '127.0.0.1')
  tls.on('tlsClientError', () => undefined)
  await Promise.all([once(http, 'listening'), once(tls, 'listening')])
  authority.target.httpPort = (http.address() as AddressInfo).port
  authority.target.tlsPort = (tls.address() as AddressInfo).port
  const accountKey = await makePrivateKey()
  const dns: DnsHook = {
    present: async (name, value) => void authority.txt.set(name, value),
    remove: async (name) => void authority.txt.delete(name),
  }
  /** A host after a start: nothing is in its memory. */
  const orders = (withDns = false) =>
    new CertificateOrders({
      ownHostId: 'h1',
      authority: acmeAuthority({ directoryUrl: authority.directoryUrl, accountKey }),
      records: new OrderRecords(join(folder, 'orders'), keys),
      ...{ rows, keys, clock, log, random: seededRandom(1), publishMs: 0 },
      ...(withDns ? { dns } : {}),
    })
  return {
    ...{ authority, store, certs, challenges, orders },
    run: (name = 'a.test', withDns = false) =>
      orders(withDns).run(name, 'app', new AbortController().signal),
    pass: (ms: number) => {
      skewMs += ms
    },
    failIn: (call: string | undefined) => {
      failAt = call
    },
    [Symbol.dispose]() {
      authority.stop()
      http.close()
      http.closeAllConnections()
      tls.close()
      rmSync(folder, { recursive: true })
    },
  }
}

test('TLS-ALPN-01: the authority finds the challenge certificate, and the row holds what edges serve', async () => {
  using world = await stage()
  assert.equal(await world.run(), 'issued')
  assert.deepEqual(world.authority.validations, ['tls-alpn-01 ok'])
  const found = world.store.find('a.test', false)
  assert(found)
  const leaf = new X509Certificate(found.chain)
  assert.equal(leaf.subjectAltName, 'DNS:a.test')
  assert.ok(leaf.verify(new X509Certificate(world.authority.root?.chain ?? '').publicKey))
  const [row] = world.certs
  assert(row)
  const lifeMs = number(row, 'not_after') - number(row, 'not_before')
  const renewedAt = (number(row, 'renew_at') - number(row, 'not_before')) / lifeMs
  assert.ok(renewedAt >= 2 / 3 && renewedAt <= 3 / 4)
  assert.ok(!JSON.stringify(row).includes('PRIVATE KEY'), 'the key travels sealed')
  assert.equal(world.challenges.size, 0, 'answers are taken away again')
})

test('HTTP-01 where TLS-ALPN-01 is not offered, and DNS-01 for a wildcard', async () => {
  using world = await stage()
  world.authority.offered.splice(1, 1)
  assert.equal(await world.run('b.test'), 'issued')
  assert.equal(await world.run('*.c.test', true), 'issued')
  assert.deepEqual(world.authority.validations, ['http-01 ok', 'dns-01 ok'])
  assert.ok(world.store.find('x.c.test', false))
  assert.equal(world.store.find('x.y.c.test', false), undefined)
  assert.equal(world.authority.txt.size, 0)
})

test('a wildcard without a DNS hook fails with a reason, and does not ask for the order again at once', async () => {
  using world = await stage()
  assert.equal(await world.run('*.c.test'), 'failed')
  assert.equal(await world.run('*.c.test'), 'later')
  assert.equal(world.authority.orderCount, 1)
})

test('bad nonces, lost connections and slow finalisation are lived through', async () => {
  using world = await stage()
  world.authority.faults.badNonces = 2
  world.authority.faults.processingPolls = 2
  assert.equal(await world.run(), 'issued')
})

test('a failed validation ends the order; the next one comes later and may succeed', async () => {
  using world = await stage()
  world.authority.faults.failedValidations = 1
  assert.equal(await world.run(), 'failed')
  assert.equal(world.challenges.size, 0)
  assert.equal(await world.run(), 'later')
  world.pass(10 * 60_000)
  assert.equal(await world.run(), 'issued')
  assert.equal(world.authority.orderCount, 2)
})

test('a rate limit is kept to as long as the authority says', async () => {
  using world = await stage()
  world.authority.faults.rateLimits = 1
  world.authority.faults.retryAfterS = 7_200
  assert.equal(await world.run(), 'failed')
  world.pass(7_100_000)
  assert.equal(await world.run(), 'later')
  world.pass(200_000)
  assert.equal(await world.run(), 'issued')
})

test('killed before any step is remembered or done, it goes on with the same order', async () => {
  using world = await stage()
  for (const call of ['putChallenge', 'putCertificate']) {
    world.failIn(call)
    await assert.rejects(world.run(), { message: `killed in ${call}` })
  }
  world.failIn(undefined)
  assert.equal(await world.run(), 'issued')
  assert.deepEqual([world.authority.orderCount, world.authority.issued.length], [1, 1])
})

test('an order that the authority does not know any more is made anew', async () => {
  using world = await stage()
  world.failIn('putChallenge')
  await assert.rejects(world.run())
  world.authority.forgetOrders()
  world.failIn(undefined)
  assert.equal(await world.run(), 'issued')
  assert.equal(world.authority.orderCount, 2)
})
