import assert from 'node:assert/strict'
import test from 'node:test'
import { HandClock } from '../router/router.fixture.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { Autostop } from './autostop-shell.ts'
import type { StopResult, WakeResult } from './machine-waker.ts'

const PERIOD_MS = 10_000

/** A host with machine m0 that nobody needs. */
async function stage() {
  const clock = new HandClock()
  const rows = new TableFixture().app('a').ip('192.0.2.1', 'a')
  rows.machine('m0', 'a', 'h1', { service: { autostop: 'suspend' } })
  const machine = rows.table.machine('m0')
  assert(machine)
  const asked: string[] = []
  const ends: { stop?: (result: StopResult) => void; start?: (result: WakeResult) => void } = {}
  const autostop = new Autostop({
    ...{ table: rows.table, clock, closeUpgrades: () => undefined, changed: () => undefined },
    times: { periodMs: PERIOD_MS, upMs: 0, settleMs: 0 },
    waker: {
      start(_machine, deadlineMs, done) {
        asked.push(`start in ${deadlineMs}`)
        ends.start = done
      },
      stop(_machine, how, done) {
        asked.push(how)
        ends.stop = done
      },
    },
  })
  const atMs = Math.ceil((clock.nowMs() + 1) / PERIOD_MS) * PERIOD_MS // of the first pass
  await clock.pass(atMs - clock.nowMs())
  const pass = (ms: number) => clock.pass(ms)
  return { autostop, machine, asked, ends, pass }
}

test('a start that meets a stop under way waits until the host knows of the stop', async () => {
  const { autostop, machine, asked, ends, pass } = await stage()
  await pass(2_000)
  assert.deepEqual(asked, ['suspend'])
  const results: string[] = []
  autostop.start(machine, 60_000, ({ kind }) => results.push(kind))
  await pass(4_000)
  assert.deepEqual(asked, ['suspend'])
  ends.stop?.({ kind: 'stopped' })
  assert.deepEqual(asked, ['suspend', 'start in 56000'])
  ends.start?.({ kind: 'ready' })
  assert.deepEqual(results, ['ready'])
  assert.equal(machine.isDraining, false)
})

test('a stop that the host does not answer fails such a start in time, once', async () => {
  const { autostop, machine, asked, ends, pass } = await stage()
  await pass(2_000)
  const results: WakeResult[] = []
  autostop.start(machine, 5_000, (result) => results.push(result))
  await pass(6_000)
  ends.stop?.({ kind: 'stopped' })
  assert.deepEqual(asked, ['suspend'])
  const reason = 'its stop was not answered in time'
  assert.deepEqual(results, [{ kind: 'failed', code: 'PM03', reason }])
})

test('before the stop was asked for, a start keeps the machine', async () => {
  const { autostop, machine, asked, pass } = await stage()
  await pass(100)
  assert.equal(machine.isDraining, true)
  const results: string[] = []
  autostop.start(machine, 60_000, ({ kind }) => results.push(kind))
  assert.deepEqual(results, ['ready'])
  assert.equal(machine.isDraining, false)
  await pass(2_000)
  assert.deepEqual(asked, [])
})
