import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { testScenario } from '#sim'
import { DrawSet } from './draw-set.ts'
import { type Health, type Identity, type Rumour, supersedes } from './member.ts'
import { ProbeRound } from './probe-round.ts'
import { RumourMill } from './rumour-mill.ts'
import { scenario } from './swim.sim.ts'
import { Swim } from './swim.ts'
import type { SwimAction } from './swim-event.ts'
import type { SwimMessage } from './swim-message.ts'
import { DEFAULT_SWIM_OPTIONS } from './swim-options.ts'

testScenario(test, scenario, { seeds: 3, regressions: [21] }) // 21: nobody looked at the dead one for 9 s

const identity = (id: string, renewedAt = 1): Identity => ({ id, address: `${id}:1`, renewedAt })
const rumour = (id: string, health: Health, incarnation = 0, renewedAt = 1): Rumour => ({
  identity: identity(id, renewedAt),
  incarnation,
  health,
})

const swim = (members: readonly Rumour[] = []) =>
  new Swim({
    self: identity('self'),
    clusterId: 1,
    options: DEFAULT_SWIM_OPTIONS,
    random: seededRandom(1),
    nowMs: 0,
    members,
  })

const message = (from: Identity, rest: Partial<SwimMessage> = {}): SwimMessage =>
  ({ clusterId: 1, from, incarnation: 0, rumours: [], kind: 'gossip', ...rest }) as SwimMessage

const types = (actions: readonly SwimAction[]) => actions.map(({ type }) => type)

/** Runs a core alone until `untilMs`, nobody answering. */
function alone(core: Swim, untilMs: number, fromMs = 0): SwimAction[] {
  const actions: SwimAction[] = []
  const next = () => Math.max(fromMs, core.wakeAtMs)
  for (let at = next(); at <= untilMs; at = next()) {
    actions.push(...core.step({ type: 'clockTicked' }, at))
  }
  return actions
}

function firstPing(core: Swim) {
  for (;;) {
    const atMs = core.wakeAtMs
    for (const action of core.step({ type: 'clockTicked' }, atMs)) {
      if (action.type !== 'send' || action.message.kind !== 'ping') continue
      return { to: action.to, message: action.message, atMs }
    }
  }
}

test('of two rumours about a member at most one supersedes the other, whatever they say', () => {
  const rumours = fc.record({
    identity: fc.record({
      id: fc.constant('a'),
      address: fc.constant('a:1'),
      renewedAt: fc.nat(2),
    }),
    incarnation: fc.nat(2),
    health: fc.constantFrom<Health>('alive', 'suspect', 'down'),
  })
  fc.assert(
    fc.property(rumours, rumours, rumours, (a, b, c) => {
      assert(!(supersedes(a, b) && supersedes(b, a)), 'no two are newer than each other')
      assert(!supersedes(a, a))
      if (supersedes(a, b) && supersedes(b, c)) assert(supersedes(a, c), 'transitive')
    }),
  )
})

test('a member that never answers is suspected after one period and down after the suspicion', () => {
  const core = swim([rumour('a', 'alive')])
  const { probePeriodMs, suspicionMs } = DEFAULT_SWIM_OPTIONS
  assert(!types(alone(core, probePeriodMs * 0.9)).includes('memberSuspected'))
  assert(types(alone(core, probePeriodMs * 2)).includes('memberSuspected'))
  assert.equal(core.healthOf('a'), 'suspect')
  const later = types(alone(core, probePeriodMs * 2 + suspicionMs))
  assert(later.includes('memberDown'))
})

test('an ack ends the probe, and one that was relayed does, too', () => {
  for (const kind of ['ack', 'relayedAck'] as const) {
    const core = swim([rumour('a', 'alive'), rumour('b', 'alive')])
    const ping = firstPing(core)
    const asked = ping.to === 'a:1' ? 'a' : 'b'
    const from = identity(kind === 'ack' ? asked : asked === 'a' ? 'b' : 'a')
    const answer = message(from, { kind, probe: ping.message.probe })
    const answeredMs = ping.atMs + 100
    core.step({ type: 'received', message: answer }, answeredMs)
    alone(core, ping.atMs + DEFAULT_SWIM_OPTIONS.probePeriodMs, answeredMs)
    assert.equal(core.healthOf(asked), 'alive')
  }
})

test('a node that hears it is suspected raises its incarnation; that it is down, its identity', () => {
  const core = swim([rumour('a', 'alive')])
  const accuse = (health: Health) =>
    core.step(
      { type: 'received', message: message(identity('a'), { rumours: [rumour('self', health)] }) },
      10,
    )
  accuse('suspect')
  assert.equal(core.incarnation, 1)
  assert.deepEqual(types(accuse('down')), ['identityRenewed'])
  assert(core.identity.renewedAt > 1)
  accuse('down')
  assert.equal(core.identity.renewedAt, 2, 'the old identity is down; the new one is not meant')
})

test('a down member stays down for old news, and returns with a newer identity', () => {
  const core = swim([rumour('a', 'down')])
  const say = (said: Rumour) =>
    core.step({ type: 'received', message: message(identity('b'), { rumours: [said] }) }, 10)
  say(rumour('a', 'alive', 9))
  assert.equal(core.healthOf('a'), 'down')
  const actions = say(rumour('a', 'alive', 0, 2))
  assert.equal(core.healthOf('a'), 'alive')
  assert(types(actions).includes('memberUp'))
})

test('what another cluster says is ignored, and not answered', () => {
  const core = swim()
  const foreign = message(identity('x'), { clusterId: 2, kind: 'ping', probe: 1 })
  assert.deepEqual(core.step({ type: 'received', message: foreign }, 1), [])
  assert.equal(core.healthOf('x'), undefined)
})

test('who leaves is down at once for those it tells', () => {
  const core = swim([rumour('a', 'alive')])
  const [told] = core.step({ type: 'leaveRequested' }, 1)
  assert(told?.type === 'send')
  const other = swim([rumour('self', 'alive')])
  assert.equal(told.message.rumours[0]?.health, 'down')
  assert.notEqual(other.healthOf('self'), 'down')
})

test('each rumour is told as often as it may be, and the newest about a member replaces the older', () => {
  const mill = new RumourMill()
  for (const id of ['a', 'b', 'c']) mill.add(rumour(id, 'alive'))
  mill.add(rumour('a', 'suspect'))
  const told = Array.from({ length: 9 }, () => mill.take(2, 3)).flat()
  assert.equal(told.length, 9, 'three rumours, three times each')
  assert(told.every(({ identity: { id }, health }) => id !== 'a' || health === 'suspect'))
  assert.equal(mill.size, 0)
})

test('a draw gives different members, each as likely, never the excepted one', () => {
  const set = new DrawSet()
  const random = seededRandom(5)
  const model = new Set<string>()
  const steps = fc.array(fc.tuple(fc.boolean(), fc.constantFrom('a', 'b', 'c', 'd', 'e')))
  fc.assert(
    fc.property(steps, (all) => {
      for (const [isAdd, item] of all) {
        if (isAdd) set.add(item)
        else set.delete(item)
        if (isAdd) model.add(item)
        else model.delete(item)
        const drawn = set.draw(3, random, 'a')
        const others = [...model].filter((one) => one !== 'a')
        assert.equal(new Set(drawn).size, Math.min(3, others.length))
        assert(drawn.every((one) => others.includes(one)))
        assert.deepEqual([...set].sort(), [...model].sort())
      }
    }),
  )
})

test('a round of probes meets each member once before any twice', () => {
  const round = new ProbeRound(seededRandom(3))
  const ids = ['a', 'b', 'c', 'd']
  const next = () => round.next(ids, (id) => id !== 'c')
  for (let turn = 0; turn < 5; turn += 1) {
    assert.deepEqual([next(), next(), next()].sort(), ['a', 'b', 'd'])
  }
  assert.equal(
    new ProbeRound(seededRandom(1)).next([], () => true),
    undefined,
  )
})
