import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { newKeyLine } from '#seal'
import type { NewJoinToken } from './join-token.ts'
import { KeyRing } from './key-ring.ts'
import { openAccounts } from './open-accounts.ts'

const by = { who: 'cli:test', requestId: '01TEST' }
const HOUR_MS = 3_600_000
const worker = { roles: ['worker'], region: 'nrt', ttlMs: HOUR_MS } satisfies NewJoinToken

function open() {
  const random = seededRandom(1)
  let nowMs = 1_000
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer: () => ({ [Symbol.dispose]: () => undefined }),
    sleep: async () => undefined,
  }
  const ring = new KeyRing(newKeyLine('one', random), random)
  const accounts = openAccounts({ path: ':memory:', ring, clock, random })
  return {
    accounts,
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}

const refused = (why: RegExp) => ({ code: 'accounts.join_refused', message: why })
const server = (host: string, nkey = `U-${host}`) => ({ host, ip: '192.0.2.9', nkey })

test('a token lets as many hosts join as it says, and the same server again', () => {
  using accounts = open().accounts
  const { id, secret } = accounts.createJoinToken(by, { ...worker, usesMax: 2 })
  assert.equal(accounts.joinToken(id, secret)?.region, 'nrt')
  assert.equal(accounts.joinToken(id, `${secret}x`), undefined)
  assert.equal(accounts.joinToken('0000', secret), undefined)
  assert.equal(accounts.useJoinToken(by, { id, ...server('nrt-1') }).uses, 1)
  assert.equal(accounts.useJoinToken(by, { id, ...server('nrt-1') }).uses, 1)
  assert.throws(
    () => accounts.useJoinToken(by, { id, ...server('nrt-1', 'U-other') }),
    refused(/another server/),
  )
  accounts.useJoinToken(by, { id, ...server('nrt-2') })
  assert.throws(() => accounts.useJoinToken(by, { id, ...server('nrt-3') }), refused(/used up/))
  assert.deepEqual(
    accounts.joinTokens().map(({ uses, usesMax }) => [uses, usesMax]),
    [[2, 2]],
  )
})

test('a token that has run out or was revoked lets nobody join, nor the same server again', () => {
  const { accounts, pass } = open()
  const first = accounts.createJoinToken(by, { ...worker, usesMax: 9 })
  accounts.useJoinToken(by, { id: first.id, ...server('nrt-1') })
  accounts.revokeJoinToken(by, { id: first.id })
  assert.throws(
    () => accounts.useJoinToken(by, { id: first.id, ...server('nrt-1') }),
    refused(/revoked/),
  )
  assert.throws(() => accounts.revokeJoinToken(by, { id: first.id }), {
    code: 'accounts.not_found',
  })
  const second = accounts.createJoinToken(by, worker)
  pass(HOUR_MS)
  assert.throws(
    () => accounts.useJoinToken(by, { id: second.id, ...server('nrt-1') }),
    refused(/run out/),
  )
  accounts[Symbol.dispose]()
})

test('a token for one name and address is for these alone', () => {
  using accounts = open().accounts
  const bound = { ...worker, host: 'nrt-1', ip: '192.0.2.9', replaces: true }
  const { id } = accounts.createJoinToken(by, bound)
  const other = { ...server('nrt-1'), ip: '192.0.2.8' }
  assert.throws(() => accounts.useJoinToken(by, { id, ...other }), refused(/address 192\.0\.2\.9/))
  assert.throws(() => accounts.useJoinToken(by, { id, ...server('nrt-2') }), refused(/host nrt-1/))
  assert.equal(accounts.useJoinToken(by, { id, ...server('nrt-1') }).replaces, true)
})

test('what no token may be is refused, and every use is in the audit log without the secret', () => {
  using accounts = open().accounts
  const bad: Partial<NewJoinToken>[] = [
    { roles: [] },
    { roles: ['gateway'] },
    { roles: ['worker', 'nats'] },
    { region: 'Tokyo!' },
    { host: 'a/b' },
    { ttlMs: 0 },
    { ttlMs: 8 * 24 * HOUR_MS },
    { usesMax: 0 },
    { replaces: true },
    { ip: '192.0.2.1' },
    { host: 'nrt-1', replaces: true, usesMax: 2 },
  ]
  for (const one of bad) {
    assert.throws(() => accounts.createJoinToken(by, { ...worker, ...one }), {
      code: 'accounts.bad_input',
    })
  }
  const { id, secret } = accounts.createJoinToken(by, worker)
  accounts.useJoinToken(by, { id, ...server('nrt-1') })
  accounts.removeHost(by, { host: 'nrt-1' })
  const [removed, used] = accounts.audit()
  assert.deepEqual([removed?.operation, removed?.target], ['removeHost', { host: 'nrt-1' }])
  const target = { id, host: 'nrt-1', ip: '192.0.2.9' }
  assert.deepEqual([used?.operation, used?.target, used?.result], ['useJoinToken', target, 'ok'])
  assert(!JSON.stringify(accounts.audit()).includes(secret))
})
