import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createLog, seededRandom, systemRandom } from '#base'
import { fc } from '#property'
import { newKeyLine } from '#seal'
import type { PlatformRow } from '../routing-table/platform-rows.ts'
import { CertificateStore, customSealContext, sealContext } from './certificate-store.ts'
import { EdgeKeyRing, readEdgeKeyRing } from './edge-key-ring.ts'
import { issueLocally, openLocalAuthority } from './local-authority.ts'
import { CLAIM_SETTLE_MS, CLAIM_STATE, type Duty, dutyOf, rankHosts } from './renewal-duty.ts'
import {
  nextTicketChangeMs,
  TICKET_KEY_BYTES,
  TICKET_PERIOD_MS,
  ticketKeys,
} from './ticket-keys.ts'

const ring = newKeyLine('k1', systemRandom)
const keys = new EdgeKeyRing(ring, systemRandom)
const log = createLog({ part: 'proxy', level: 'fatal' })

function certRow(hostname: string, hostId: string, more: PlatformRow = {}): PlatformRow {
  return {
    ...{ hostname, host_id: hostId, source: 'acme', chain_pem: `${hostname} by ${hostId}` },
    sealed_key: keys.seal(Buffer.from(`key of ${hostId}`), sealContext(hostname, hostId)),
    ...{ not_before: 0, not_after: 1_000, state: 'active' },
    ...more,
  }
}

function customRow(hostname: string, more: PlatformRow = {}): PlatformRow {
  return {
    ...{ hostname, app_id: 'a', chain_pem: `custom of ${hostname}` },
    sealed_key: keys.seal(Buffer.from('key'), customSealContext(hostname)),
    ...{ not_before: 0, not_after: 1_000 },
    ...more,
  }
}

function store(nowMs = 500, ringOf = keys, appDomain = '') {
  const made = new CertificateStore({ keys: ringOf, nowMs: () => nowMs, log, appDomain })
  return { made, chain: (name: string) => made.find(name, false)?.chain }
}

test('the exact name wins, then a wildcard for one label; another name has none', () => {
  const { made, chain } = store()
  made.put(certRow('a.test', 'h1'))
  made.put(certRow('*.a.test', 'h2'))
  assert.equal(chain('a.test'), 'a.test by h1')
  assert.equal(chain('x.a.test'), '*.a.test by h2')
  assert.equal(chain('x.y.a.test'), undefined)
  assert.equal(chain(''), undefined)
  assert.equal(made.find('a.test', false), made.find('a.test', false), 'the same object each time')
})

test('a custom certificate wins; deleted or expired, the ACME one serves without a gap', () => {
  const { made, chain } = store()
  made.put(certRow('a.test', 'h1'))
  made.putCustom(customRow('A.test'))
  assert.equal(chain('a.test'), 'custom of A.test')
  made.removeCustom('a.test')
  assert.equal(chain('a.test'), 'a.test by h1')
  made.putCustom(customRow('a.test', { not_after: 400 }))
  assert.equal(chain('a.test'), 'a.test by h1')
  made.put(certRow('a.test', 'h4', { not_after: 2_000 }))
  assert.equal(chain('a.test'), 'a.test by h4', 'the one that is valid longest')
  made.putCustom(customRow('a.test', { chain_pem: '', sealed_key: null }))
  assert.equal(chain('a.test'), 'a.test by h4', 'a name without one of its own')
})

test('a custom key of another name is not used, nor a custom certificate for a name of the platform', () => {
  const { made, chain } = store(500, keys, 'apps.test')
  const stolen = customRow('b.test')['sealed_key'] ?? null
  made.put(certRow('a.test', 'h1'))
  made.putCustom(customRow('a.test', { sealed_key: stolen }))
  assert.equal(chain('a.test'), 'a.test by h1')
  made.put(certRow('*.apps.test', 'h1'))
  for (const name of ['owl.apps.test', '*.apps.test', 'apps.test']) made.putCustom(customRow(name))
  assert.equal(chain('owl.apps.test'), '*.apps.test by h1')
  assert.equal(chain('apps.test'), undefined)
  made.putCustom(customRow('otherapps.test'))
  assert.equal(chain('otherapps.test'), 'custom of otherapps.test')
})

test('a key sealed for another name, another host or by another ring is not used; the next best is', () => {
  const { made, chain } = store()
  const stolen = certRow('b.test', 'h1')['sealed_key'] ?? null
  made.put(certRow('a.test', 'h1', { sealed_key: stolen, not_after: 2_000 }))
  assert.equal(chain('a.test'), undefined)
  made.put(certRow('a.test', 'h2'))
  assert.equal(chain('a.test'), 'a.test by h2')
  const other = new EdgeKeyRing(newKeyLine('k1', systemRandom), systemRandom)
  const foreign = store(500, other)
  foreign.made.put(certRow('a.test', 'h1'))
  assert.equal(foreign.chain('a.test'), undefined)
})

test('sealed bytes changed anywhere do not open, and old keys of the ring still open', () => {
  const sealed = keys.seal(Buffer.from('secret'), 'context')
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] as number) ^ mask
      assert.throws(() => keys.open(changed, 'context'), { code: 'certificates.sealed_bad' })
    }),
  )
  const rotated = new EdgeKeyRing(ring + newKeyLine('k2', systemRandom), systemRandom)
  assert.equal(rotated.open(sealed, 'context').toString(), 'secret')
  assert.throws(() => keys.open(rotated.seal(Buffer.from('x'), 'c'), 'c'), {
    code: 'certificates.sealed_bad',
  })
})

test('a key that is put into the ring of a running edge opens what was refused before, and old ones open on', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-edge-keys-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'edge-keys')
  const put = (text: string) => {
    writeFileSync(`${file}.new`, text, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
  put(ring)
  const followed = readEdgeKeyRing(file, systemRandom)
  const { made, chain } = store(500, followed)
  const both = ring + newKeyLine('k2', systemRandom)
  const newer = new EdgeKeyRing(both, systemRandom)
  made.put(certRow('a.test', 'h1'))
  const sealed = newer.seal(Buffer.from('key'), sealContext('b.test', 'h1'))
  made.put(certRow('b.test', 'h1', { sealed_key: sealed }))
  made.put(certRow('c.test', 'h1'))
  assert.deepEqual([chain('a.test'), chain('b.test')], ['a.test by h1', undefined])
  assert.equal(chain('b.test'), undefined)
  const tickets = ticketKeys(followed, 0)
  put(both)
  assert.equal(chain('b.test'), 'b.test by h1')
  assert.equal(chain('c.test'), 'c.test by h1', 'sealed with the old key, and never opened before')
  assert.ok(followed.isNewest(followed.seal(Buffer.from('x'), 'c')))
  assert.ok(!followed.isNewest(keys.seal(Buffer.from('x'), 'c')))
  assert.notDeepEqual(ticketKeys(followed, 0), tickets)
  assert.deepEqual(ticketKeys(followed, 0), ticketKeys(newer, 0))
})

test('all edges have the same ticket keys, which change twice a day and overlap', () => {
  const nowMs = 1_700_000_000_000
  const [newest, before] = ticketKeys(keys, nowMs)
  assert.deepEqual(ticketKeys(new EdgeKeyRing(ring, systemRandom), nowMs), [newest, before])
  assert.equal(newest.length, TICKET_KEY_BYTES)
  const [next, kept] = ticketKeys(keys, nextTicketChangeMs(nowMs))
  assert.deepEqual(kept, newest)
  assert.notDeepEqual(next, newest)
  assert.ok(nextTicketChangeMs(nowMs) - nowMs <= TICKET_PERIOD_MS)
})

test('the local authority is made once, is readable by its owner only, and signs names', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-ca-'))
  try {
    const authority = await openLocalAuthority(join(folder, 'ca'), Date.now())
    assert.deepEqual(await openLocalAuthority(join(folder, 'ca'), Date.now()), authority)
    assert.equal(statSync(join(folder, 'ca', 'ca-key.pem')).mode & 0o777, 0o600)
    const made = await issueLocally(authority, ['*.apps.test', 'apps.test'], Date.now())
    const leaf = new X509Certificate(made.chain)
    assert.ok(leaf.verify(new X509Certificate(authority.chain).publicKey))
    assert.equal(leaf.checkHost('a.apps.test'), '*.apps.test')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a name is claimed by the host that ranks first, and the next one takes over when it does nothing', () => {
  const hosts = ['h1', 'h2', 'h3']
  const [first = '', second = ''] = rankHosts('a.test', hosts)
  const duty = (ownHostId: string, rows: PlatformRow[], nowMs: number): Duty['kind'] =>
    dutyOf({ hostname: 'a.test', ownHostId, hosts, rows, dueMs: 1_000, nowMs }).kind
  assert.equal(duty(first, [], 999), 'none')
  assert.deepEqual([duty(first, [], 1_000), duty(second, [], 1_000)], ['claim', 'wait'])
  const claim = { host_id: first, state: CLAIM_STATE, updated_at: 1_000 }
  assert.equal(duty(first, [claim], 1_001), 'wait')
  assert.equal(duty(first, [claim], 1_000 + CLAIM_SETTLE_MS), 'order')
  assert.equal(duty(second, [claim], 1_000 + CLAIM_SETTLE_MS), 'none')
  assert.equal(duty(second, [], 1_000 + 3 * 60_000), 'claim')
  assert.equal(duty(second, [claim], 1_000 + 20 * 60_000), 'claim', 'the claim is stale')
  assert.equal(duty('stranger', [], 5_000), 'none')
})

test('however late the news, no two hosts that hear of each other order at one time', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = seededRandom(seed)
    const hosts = ['h1', 'h2', 'h3', 'h4', 'h5']
    const heard = new Map(hosts.map((host) => [host, new Map<string, PlatformRow>()]))
    const news: { atMs: number; to: string; row: PlatformRow }[] = []
    const ordering = new Set<string>()
    for (let nowMs = 0; nowMs < 25 * 60_000; nowMs += 1_000) {
      for (const { atMs, to, row } of news) {
        if (atMs === nowMs) heard.get(to)?.set(String(row['host_id']), row)
      }
      for (const own of hosts) {
        if (random.int(10) === 0) continue // it is busy, or has only just come up
        const rows = [...(heard.get(own)?.values() ?? [])]
        const duty = dutyOf({ hostname: `n${seed}`, ownHostId: own, hosts, rows, dueMs: 0, nowMs })
        if (duty.kind === 'claim') {
          const row = { host_id: own, state: CLAIM_STATE, updated_at: nowMs }
          heard.get(own)?.set(own, row)
          for (const to of hosts) {
            const atMs = nowMs + 1_000 * (1 + random.int(CLAIM_SETTLE_MS / 1_000 - 1))
            if (to !== own) news.push({ atMs, to, row })
          }
        }
        if (duty.kind === 'order') ordering.add(own)
        else ordering.delete(own)
      }
      assert.ok(ordering.size <= 1, `seed ${seed}: ${[...ordering]} order at one time`)
    }
  }
})
