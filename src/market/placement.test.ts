import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import type { Answer } from './bid.ts'
import type { Region } from './host.ts'
import { ams, host, nrt, request } from './market.fixture.ts'
import { type PlacementAction, PlacementRun } from './placement.ts'
import type { PlacementError } from './placement-error.ts'
import { placementLimits } from './placement-limits.ts'
import type { PlacementRequest } from './placement-request.ts'
import { chooseBest } from './ranking.ts'
import type { RefusalReason } from './refusal.ts'

const limits = placementLimits({
  bidWindowMs: 100,
  silenceMs: 500,
  bidsEnough: 4,
  orderMs: 300,
  ordersMax: 3,
  deadlineMs: 2_000,
})

function begin(
  changes: Partial<PlacementRequest> = {},
  hostsIn?: (region: Region) => number | undefined,
) {
  let made = 0
  const run = new PlacementRun(
    {
      request: { ...request, ...changes },
      limits,
      choose: chooseBest(),
      random: seededRandom(1),
      newReservation: () => `r${++made}`,
      hostsIn,
    },
    0,
  )
  return { run, first: run.start(0) }
}

const bid = (id: string, cpu: number, region = ams): Answer => ({
  type: 'bid',
  bid: {
    host: host(id),
    region,
    utilisation: { cpu, memory: cpu, machines: 0, volume: 0 },
    appMachines: 0,
    hasImage: false,
  },
})
const no = (reason: RefusalReason): Answer => ({ type: 'refusal', refusal: { reason } })
const answered = (id: string, answer: Answer, ask = 0) =>
  ({ type: 'answered', ask, host: host(id), answer }) as const
const accepted = (id: string, reservation: string) =>
  ({ type: 'orderAnswered', reservation, host: host(id) }) as const
const refused = (id: string, reservation: string, reason: RefusalReason) =>
  ({ type: 'orderAnswered', reservation, host: host(id), refusal: { reason } }) as const
const tick = { type: 'clockTicked' } as const

const brief = (actions: readonly PlacementAction[]) =>
  actions.map((action) => {
    if (action.type === 'reserve' || action.type === 'cancel') {
      return `${action.type} ${action.host} ${action.reservation}`
    }
    if (action.type === 'ask') return `ask ${action.to.host ?? action.to.region}`
    return action.type === 'succeed'
      ? `succeed ${action.placement.host}`
      : `fail ${action.error.code}`
  })

function errorOf(actions: readonly PlacementAction[]): PlacementError {
  const last = actions.at(-1)
  assert.ok(last?.type === 'fail', 'it failed')
  return last.error
}

test('the best of the bids that came within the window is reserved', () => {
  const { run, first } = begin()
  assert.deepEqual(brief(first), ['ask ams'])
  assert.deepEqual(run.step(answered('a1', bid('a1', 0.2)), 10), [])
  assert.deepEqual(run.step(answered('a2', bid('a2', 0.6)), 20), [])
  assert.equal(run.wakeAtMs, 110)
  assert.deepEqual(brief(run.step(tick, 110)), ['reserve a2 r1'])
  const [done] = run.step(accepted('a2', 'r1'), 130)
  assert.ok(done?.type === 'succeed')
  assert.deepEqual([done.placement.host, done.placement.tookMs], [host('a2'), 130])
  assert.deepEqual([run.isDone, run.wakeAtMs], [true, Infinity])
})

test('nobody is waited for once every known host has answered', () => {
  const { run } = begin({}, () => 2)
  run.step(answered('a1', bid('a1', 0.2)), 10)
  assert.deepEqual(brief(run.step(answered('a2', no('memory')), 11)), ['reserve a1 r1'])
})

test('enough bids are enough', () => {
  const { run } = begin()
  for (const id of ['a1', 'a2', 'a3']) run.step(answered(id, bid(id, 0.1)), 1)
  assert.deepEqual(brief(run.step(answered('a4', bid('a4', 0.5)), 2)), ['reserve a4 r1'])
})

test('a host that refuses after all is passed over for the next, also for one whose bid came late', () => {
  const { run } = begin()
  run.step(answered('a1', bid('a1', 0.2)), 10)
  run.step(answered('a2', bid('a2', 0.6)), 20)
  run.step(tick, 110)
  assert.deepEqual(run.step(answered('late', bid('late', 0.4)), 115), [])
  const [second] = run.step(refused('a2', 'r1', 'memory'), 120)
  assert.ok(second?.type === 'reserve')
  const [third] = run.step(refused(second.host, 'r2', 'cordoned'), 130)
  assert.ok(third?.type === 'reserve')
  assert.deepEqual([second.host, third.host].toSorted(), ['a1', 'late'])
  assert.deepEqual(brief(run.step(accepted(third.host, 'r3'), 140)), [`succeed ${third.host}`])
})

test('a host that falls silent after its bid is told to forget the order', () => {
  const { run } = begin()
  run.step(answered('a1', bid('a1', 0.6)), 10)
  run.step(answered('a2', bid('a2', 0.2)), 10)
  run.step(tick, 110)
  assert.equal(run.wakeAtMs, 410)
  assert.deepEqual(brief(run.step(tick, 410)), ['cancel a1 r1', 'reserve a2 r2'])
  assert.deepEqual(run.step(accepted('a1', 'r1'), 420), [], 'too late')
  assert.deepEqual(brief(run.step(accepted('a2', 'r2'), 430)), ['succeed a2'])
})

test('regions are tried in order, and the error has the reason of every host', () => {
  const { run } = begin({ regions: [ams, nrt] }, (region) => (region === ams ? 2 : 1))
  run.step(answered('a1', no('memory')), 1)
  assert.deepEqual(brief(run.step(answered('a2', no('hardware')), 2)), ['ask nrt'])
  const error = errorOf(run.step(answered('n1', no('draining'), 1), 3))
  assert.equal(error.code, 'market.no_capacity')
  assert.deepEqual(
    error.refusals.map(({ region, host: id, reason }) => `${region} ${id} ${reason}`),
    ['ams a1 memory', 'ams a2 hardware', 'nrt n1 draining'],
  )
  assert.match(error.message, /answered=3, memory=1, hardware=1, draining=1/)
  assert.equal(JSON.parse(JSON.stringify(error)).values.refusals.length, 3)
})

test('one region is strict: what other regions have does not matter', () => {
  const { run } = begin()
  assert.equal(errorOf(run.step({ type: 'askUnheard', ask: 0 }, 1)).code, 'market.no_answer')
})

test('a bid from another region, or in the name of another host, is not taken', () => {
  const { run } = begin()
  assert.deepEqual(run.step(answered('n1', bid('n1', 0.9, nrt)), 1), [])
  assert.deepEqual(run.step(answered('a1', bid('a2', 0.9)), 2), [])
  assert.equal(run.ignoredCount, 2)
  assert.equal(errorOf(run.step(tick, 500)).code, 'market.no_answer')
})

test('a bid that comes twice, or for an earlier region, counts once', () => {
  const { run } = begin({ regions: [nrt, ams] }, () => 2)
  run.step({ type: 'askUnheard', ask: 0 }, 1)
  run.step(answered('a1', bid('a1', 0.1), 1), 2)
  run.step(answered('a1', bid('a1', 0.9), 1), 3)
  run.step(answered('n1', bid('n1', 0.9, nrt), 0), 3)
  assert.equal(run.ignoredCount, 2)
  assert.deepEqual(brief(run.step(answered('a2', no('cpus'), 1), 4)), ['reserve a1 r1'])
})

test('a host asked for by name is asked alone, and once', () => {
  const { run, first } = begin({ host: host('a1'), regions: [ams, nrt] })
  assert.deepEqual(brief(first), ['ask a1'])
  assert.deepEqual(run.step(answered('a2', bid('a2', 0.1)), 1), [])
  const error = errorOf(run.step(answered('a1', no('cordoned')), 2))
  assert.deepEqual([error.code, error.refusals.length], ['market.no_capacity', 1])
})

test('constraints that no host satisfies are told apart from hosts that are full', () => {
  const { run } = begin({ hardware: 'arm' }, () => 2)
  run.step(answered('a1', no('hardware')), 1)
  assert.equal(errorOf(run.step(answered('a2', no('not_apart')), 2)).code, 'market.no_match')
})

test('of a region no more hosts are ordered from than the limit says', () => {
  const { run } = begin()
  for (const id of ['a1', 'a2', 'a3']) run.step(answered(id, bid(id, 0.1)), 1)
  let actions = run.step(answered('a4', bid('a4', 0.1)), 1)
  for (let order = 1; order <= limits.ordersMax; order += 1) {
    const [action] = actions
    assert.ok(action?.type === 'reserve')
    actions = run.step(refused(action.host, `r${order}`, 'memory'), 2)
  }
  assert.equal(errorOf(actions).code, 'market.contended')
})

test('at the deadline it has ended, and takes the open order back', () => {
  const { run } = begin({ regions: [ams, nrt] })
  run.step(tick, 500)
  run.step(answered('n1', bid('n1', 0.1, nrt), 1), 900)
  run.step(tick, 1_900)
  assert.ok(run.wakeAtMs <= 2_000)
  assert.deepEqual(brief(run.step(tick, 2_000)), ['cancel n1 r1', 'fail market.deadline'])
})

test('a caller that goes away leaves no order behind', () => {
  const { run } = begin({}, () => 1)
  run.step(answered('a1', bid('a1', 0.1)), 1)
  assert.deepEqual(brief(run.step({ type: 'cancelled' }, 2)), ['cancel a1 r1'])
  assert.equal(run.isDone, true)
})

test('when NATS goes away under a placement, it fails at once and by name', () => {
  const { run } = begin()
  assert.equal(errorOf(run.step({ type: 'disconnected' }, 5)).code, 'market.unavailable')
})

const ids = ['a1', 'a2', 'a3'] as const
const anyId = fc.constantFrom(...ids)
const anyReservation = fc.integer({ min: 1, max: 4 }).map((n) => `r${n}`)
const reasons = fc.constantFrom<RefusalReason>('memory', 'cordoned', 'hardware', 'silent')
const events = fc.oneof(
  fc
    .tuple(anyId, fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([id, cpu]) => answered(id, bid(id, cpu))),
  fc.tuple(anyId, reasons).map(([id, reason]) => answered(id, no(reason))),
  fc.tuple(anyId, anyReservation).map(([id, reservation]) => accepted(id, reservation)),
  fc.tuple(anyId, anyReservation, reasons).map(([id, one, reason]) => refused(id, one, reason)),
  fc.constant({ type: 'askUnheard', ask: 0 } as const),
  anyReservation.map((reservation) => ({ type: 'orderUnheard', reservation }) as const),
  fc.constant(tick),
)

test('whatever is said, it ends once, in time, and every order but the one taken was answered or taken back', () => {
  const history = fc.array(fc.tuple(events, fc.integer({ min: 0, max: 200 })), { maxLength: 40 })
  fc.assert(
    fc.property(history, (story) => {
      const { run, first } = begin()
      const actions = [...first]
      const explicit = new Set<string>()
      let nowMs = 0
      for (const [event, passedMs] of story) {
        while (run.wakeAtMs <= nowMs + passedMs)
          actions.push(...run.step(tick, Math.max(nowMs, run.wakeAtMs)))
        nowMs += passedMs
        const isOpen = !run.isDone
        const before = run.ignoredCount
        actions.push(...run.step(event, nowMs))
        const heard = isOpen && run.ignoredCount === before
        if (heard && event.type === 'orderAnswered') explicit.add(event.reservation)
      }
      while (!run.isDone) actions.push(...run.step(tick, run.wakeAtMs))
      assertEnded(actions, explicit)
    }),
  )
})

function assertEnded(actions: readonly PlacementAction[], explicit: ReadonlySet<string>): void {
  const ends = actions.filter(({ type }) => type === 'succeed' || type === 'fail')
  assert.equal(ends.length, 1)
  const takenBack = actions.flatMap((one) => (one.type === 'cancel' ? [one.reservation] : []))
  for (const action of actions) {
    if (action.type !== 'reserve') continue
    const { reservation } = action
    assert.ok(explicit.has(reservation) || takenBack.includes(reservation), reservation)
  }
}
