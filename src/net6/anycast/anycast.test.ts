import assert from 'node:assert/strict'
import test from 'node:test'
import { pollUntil } from '#base'
import { renderBirdConfig } from '#bird'
import { fc } from '#property'
import { connect, trialHost } from '../trial-host.fixture.ts'
import { Announcer } from './announcer.ts'
import {
  AnnouncerState,
  CHECK_DEADLINE_MS,
  CHECK_EVERY_MS,
  type CheckOutcome,
  HOLD_MS,
  SLOW_MAX,
  WITHDRAW_MS_MAX,
  WITHDRAW_SLOW_MS_MAX,
} from './announcer-state.ts'
import { anycastPrefixes, originatedPrefixes, strayAddresses } from './anycast-prefixes.ts'
import { startBird, type TrialBird } from './trial-bird.fixture.ts'

const OWNED = ['203.0.113.0/24', '2001:db8:a::/48', '198.51.100.0/22']
const DEADLINE = { deadlineMs: 30_000 }

test("what is not the operator's is never announced", () => {
  for (const foreign of ['192.0.2.0/24', '203.0.112.0/23', '2001:db8:b::/48', '198.51.96.0/20']) {
    assert.throws(() => anycastPrefixes([foreign], OWNED), { code: 'net6.prefix_not_owned' })
    assert.throws(() => anycastPrefixes([foreign], []), { code: 'net6.prefix_not_owned' })
  }
  for (const wrong of ['203.0.113.0/25', '2001:db8:a::/64', '203.0.113.0', 'x/24; exit', '']) {
    assert.throws(() => anycastPrefixes([wrong], OWNED), { code: 'net6.address_bad' }, wrong)
  }
  const chosen = anycastPrefixes(['203.0.113.0/24', '198.51.101.0/24', '203.0.113.0/24'], OWNED)
  assert.deepEqual(
    chosen.map(({ prefix }) => prefix),
    ['198.51.101.0/24', '203.0.113.0/24'],
  )
  assert.deepEqual(strayAddresses(['203.0.113.9', '192.0.2.1', '2001:db8:a::5'], OWNED), [
    '192.0.2.1',
  ])
})

test('a proxy that died is withdrawn within a second, whatever came before', () => {
  assert(WITHDRAW_MS_MAX < 1_000)
  const outcomes = fc.constantFrom('well' as const, 'dead' as const, 'slow' as const)
  fc.assert(
    fc.property(fc.array(outcomes, { maxLength: 60 }), fc.boolean(), (before, isSilent) => {
      const state = new AnnouncerState()
      let nowMs = 0
      const check = (outcome: CheckOutcome) => {
        nowMs += CHECK_EVERY_MS + CHECK_DEADLINE_MS
        state.checked(outcome, nowMs)
      }
      for (const outcome of before) check(outcome)
      const endMs = nowMs + (isSilent ? WITHDRAW_SLOW_MS_MAX : WITHDRAW_MS_MAX)
      while (nowMs < endMs) check(isSilent ? 'slow' : 'dead')
      assert.equal(state.announcement, 'nothing')
    }),
  )
})

test('a proxy that answers late now and then stays announced', () => {
  const state = new AnnouncerState()
  state.checked('well', 0)
  state.checked('slow', 1)
  state.checked('well', HOLD_MS)
  assert.equal(state.announcement, 'prefixes', 'its time to be well goes on meanwhile')
  for (let turn = 0; turn < 3; turn += 1) {
    for (let count = 1; count < SLOW_MAX; count += 1) state.checked('slow', HOLD_MS)
    assert.equal(state.announcement, 'prefixes')
    state.checked('well', HOLD_MS)
  }
})

test('a proxy must be well for a while before it is announced, and one failed check changes nothing', () => {
  const state = new AnnouncerState()
  state.checked('well', 0)
  state.checked('well', HOLD_MS - 1)
  assert.equal(state.announcement, 'nothing')
  state.checked('well', HOLD_MS)
  assert.equal(state.announcement, 'prefixes')
  state.checked('dead', HOLD_MS + 1)
  assert.equal(state.announcement, 'prefixes')
  state.checked('well', HOLD_MS + 2)
  state.checked('dead', HOLD_MS + 3)
  assert.equal(state.announcement, 'prefixes')
})

test('a drained host stays silent until it is told otherwise', () => {
  const state = new AnnouncerState({ drainMs: 1_000 })
  state.checked('well', 0)
  state.checked('well', HOLD_MS)
  state.drain(HOLD_MS)
  assert.equal(state.announcement, 'draining')
  state.checked('well', HOLD_MS + 999)
  assert.equal(state.announcement, 'draining')
  state.checked('well', HOLD_MS + 1_000)
  assert.equal(state.phase, 'drained')
  state.checked('well', HOLD_MS * 9)
  assert.equal(state.announcement, 'nothing')
  state.undrain(HOLD_MS * 9)
  assert.equal(state.announcement, 'prefixes')
})

test('what an announcer finds announced it keeps, and withdraws when the proxy is dead', () => {
  const state = new AnnouncerState({ drainMs: 1_000 })
  state.adopt('prefixes', 0)
  state.checked('dead', 1)
  assert.equal(state.announcement, 'prefixes')
  state.checked('dead', 2)
  assert.equal(state.announcement, 'nothing')
  const draining = new AnnouncerState({ drainMs: 1_000 })
  draining.adopt('draining', 0)
  draining.checked('well', 999)
  assert.equal(draining.announcement, 'draining')
  draining.checked('well', 1_000)
  assert.equal(draining.phase, 'drained')
})

test('a neighbour sees prefixes come, ask to be left alone, and go with the proxy', async (t) => {
  const [edge, router] = [await trialHost(t), await trialHost(t)]
  await connect(edge, router, 'cable')
  const ends = [
    { host: edge, own: '192.0.2.0', other: '192.0.2.1', asn: 64500, otherAsn: 64501 },
    { host: router, own: '192.0.2.1', other: '192.0.2.0', asn: 64501, otherAsn: 64500 },
  ] as const
  const prefixes = anycastPrefixes(['203.0.113.0/24'], OWNED)
  const birds: TrialBird[] = []
  for (const { host, own, other, asn, otherAsn } of ends) {
    await host.shell(`ip address add ${own}/31 dev cable`)
    const isEdge = host === edge
    const neighbour = {
      ...{ protocol: 'neighbour1', localAddress: own, address: other, asn: otherAsn, cost: 0 },
      imports: isEdge ? [] : ('everything' as const),
      exports: isEdge ? ('originated' as const) : ('nothing' as const),
    }
    const config = { routerId: own, asn, holdSeconds: 9, isForwarding: false }
    const originates = isEdge ? originatedPrefixes(prefixes) : []
    const router = { ...config, originates, neighbours: [neighbour] }
    birds.push(await startBird(host, renderBirdConfig(router)))
  }
  const [ours, theirs] = birds as [TrialBird, TrialBird]
  let isWell = true
  const announcer = new Announcer({
    bird: ours.bird,
    prefixes,
    isHealthy: async () => isWell,
    drainMs: 600_000,
  })
  t.after(() => announcer.close())
  const seen = async () => {
    const reply = await theirs.bird.command('show route all').catch(() => undefined)
    const text = reply?.lines.map((line) => line.text).join('\n') ?? ''
    if (!text.includes('203.0.113.0/24')) return 'nothing'
    return text.includes('(65535,0)') ? 'draining' : 'prefixes'
  }
  const shows = (what: string) => pollUntil(what, async () => (await seen()) === what, DEADLINE)
  await shows('prefixes')
  await announcer.drain()
  await shows('draining')
  await announcer.undrain()
  await shows('prefixes')
  isWell = false
  await shows('nothing')
  assert.equal(announcer.phase, 'silent')
  isWell = true
  await shows('prefixes')
  await ours.end()
  await shows('nothing')
  await ours.restart()
  await shows('prefixes')
})
