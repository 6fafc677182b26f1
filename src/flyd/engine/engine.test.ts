import assert from 'node:assert/strict'
import test from 'node:test'
import { createLog, seededRandom, systemClock } from '#base'
import { LogStore } from '../fixture/log-store.ts'
import type { Definition, Step } from './definition.ts'
import { Engine } from './engine.ts'
import { idAfter } from './id-after.ts'
import { Ledger } from './ledger.ts'
import type { Outcome, Run } from './run.ts'
import { runReader } from './run-reading.ts'
import type { Store } from './store.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const rule = { deadlineMs: 10_000, triesMax: 3, backoff: { baseMs: 1, capMs: 2 } }

interface Told {
  readonly id: string
  readonly outcome: Outcome
  readonly isLatest: boolean
}

/** An engine with one kind of state machine, and what its ends were. */
function engineOf(
  steps: Readonly<Record<string, Step>>,
  { store = new LogStore(), retained = 1_000, interruptedBy = [] as string[] } = {},
) {
  const told: Told[] = []
  const definition = (kind: string): Definition => ({
    kind,
    steps,
    isInterruptedBy: (other) => interruptedBy.includes(other),
    finished: (_, { id, outcome }, isLatest) => told.push({ id, outcome, isLatest }),
  })
  const ledger = new Ledger(store as Store)
  const definitions = [definition('work'), definition('other')]
  const random = seededRandom(1)
  const engine = new Engine({ ledger, clock: systemClock, random, log, definitions, retained })
  const accept = (names: readonly string[], kind = 'work') =>
    ledger.transact((transaction) =>
      engine.accept(transaction, { kind, resource: 'thing/1', input: {}, steps: names }),
    )
  return { engine, ledger, store, told, accept }
}

const noted = (acts: string[], name: string): Step => ({
  ...rule,
  act: async () => void acts.push(name),
  undo: async () => void acts.push(`undo ${name}`),
})

test('a step that throws is tried again, and one that cannot be done has those before it undone in reverse', async () => {
  const acts: string[] = []
  let failures = 0
  const flaky: Step = {
    ...rule,
    async act() {
      failures += 1
      if (failures < 3) throw new Error('not now')
      acts.push('flaky')
    },
    undo: async () => void acts.push('undo flaky'),
  }
  const broken: Step = { ...rule, act: () => Promise.reject(new Error('never')) }
  const { engine, told, accept } = engineOf({ one: noted(acts, 'one'), flaky, broken })
  engine.start()
  await accept(['one', 'flaky', 'broken'])
  await engine.idle()
  assert.deepEqual(acts, ['one', 'flaky', 'undo flaky', 'undo one'])
  assert.deepEqual(
    told.map(({ outcome }) => outcome),
    ['failed'],
  )
})

test('what a step answered is there for later ones, also in the next life', async () => {
  const store = new LogStore()
  const seen: unknown[] = []
  const first: Step = { ...rule, act: async () => ({ address: 7 }) }
  const held: Step = { ...rule, act: (_, signal) => heeding(signal) }
  const before = engineOf({ first, second: held }, { store })
  before.engine.start()
  await before.accept(['first', 'second'])
  while (before.engine.runs()[0]?.at !== 1) await new Promise((resolve) => setImmediate(resolve))
  before.engine.stop()
  const second: Step = { ...rule, act: async (run: Run) => void seen.push(run.results['first']) }
  const after = engineOf(
    { first: { ...rule, act: () => assert.fail('done already') }, second },
    { store },
  )
  after.engine.start()
  await after.engine.idle()
  assert.deepEqual(seen, [{ address: 7 }])
  assert.deepEqual(
    after.told.map(({ outcome }) => outcome),
    ['done'],
  )
})

test('a step that this program does not know is passed over', async () => {
  const acts: string[] = []
  const { engine, told, accept } = engineOf({ one: noted(acts, 'one') })
  engine.start()
  await accept(['renamed_since', 'one'])
  await engine.idle()
  assert.deepEqual(acts, ['one'])
  assert.deepEqual(
    told.map(({ outcome }) => outcome),
    ['done'],
  )
})

test('of runs that wait for another only the last one acts, and only the last one is the latest', async () => {
  const acts: string[] = []
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const slow: Step = { ...rule, act: () => gate }
  const { engine, told, accept } = engineOf({
    slow,
    two: noted(acts, 'two'),
    three: noted(acts, 'three'),
  })
  engine.start()
  await accept(['slow'])
  await accept(['two'])
  await accept(['three'])
  open()
  await engine.idle()
  assert.deepEqual(acts, ['three'])
  assert.deepEqual(
    told.map(({ outcome, isLatest }) => [outcome, isLatest]),
    [
      ['superseded', false],
      ['done', false],
      ['done', true],
    ],
  )
})

test('a run that may be interrupted is undone before the next one acts', async () => {
  const acts: string[] = []
  const stuck: Step = {
    ...rule,
    act: (_, signal) => heeding(signal),
    undo: async () => void acts.push('undo stuck'),
  }
  const { engine, accept } = engineOf(
    { stuck, next: noted(acts, 'next') },
    { interruptedBy: ['other'] },
  )
  engine.start()
  await accept(['stuck'])
  await accept(['next'], 'other')
  await engine.idle()
  assert.deepEqual(acts, ['undo stuck', 'next'])
})

test('a run is cancelled until a step has begun from which nothing leads back', async () => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const oneWay: Step = { ...rule, isOneWay: true, act: () => gate }
  const { engine, told, accept } = engineOf({ oneWay })
  engine.start()
  const run = await accept(['oneWay'])
  assert.equal(await engine.cancel(run.id), false)
  open()
  await engine.idle()
  assert.equal(told[0]?.outcome, 'done')
  assert.equal(await engine.cancel(run.id), false, 'it has ended')
})

test('so many ended runs are remembered as was asked for, and can be read', async () => {
  const acts: string[] = []
  const { engine, store, accept } = engineOf({ one: noted(acts, 'one') }, { retained: 3 })
  engine.start()
  const ids: string[] = []
  for (let i = 0; i < 5; i += 1) {
    ids.push((await accept(['one'])).id)
    await engine.idle()
  }
  const reader = runReader(store)
  const runs = await reader.list({ limit: 10 })
  assert.deepEqual(
    runs.map(({ id }) => id),
    ids.slice(2).reverse(),
  )
  assert.deepEqual(
    (await reader.show(ids[4] ?? ''))?.entries.map(({ type }) => type),
    ['accepted', 'began', 'done', 'finished'],
  )
  assert.equal(await reader.show(ids[0] ?? ''), undefined)
  assert.deepEqual([...store.entries('run/')], [], 'entries of ended runs are gone')
})

test('a log that cannot be written refuses all further changes, and tells', async () => {
  const store = new LogStore()
  store.commit = () => Promise.reject(new Error('ENOSPC'))
  const { ledger, accept } = engineOf({}, { store })
  await assert.rejects(accept(['one']), { code: 'flyd.log_bad' })
  await assert.rejects(accept(['one']), { code: 'flyd.log_bad' })
  assert.match(String(await ledger.broken), /ENOSPC/)
})

test('ids grow also when the clock does not', () => {
  const last = '01ARZ3NDEKTSV4RRFFQ69G5FZZ'
  assert.equal(idAfter(undefined, last), last)
  assert.equal(idAfter('01ARZ3NDEKTSV4RRFFQ69G5FAV', last), last)
  assert.equal(idAfter(last, '01ARZ3NDEKTSV4RRFFQ69G5FAV'), '01ARZ3NDEKTSV4RRFFQ69G5G00')
})

function heeding(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
