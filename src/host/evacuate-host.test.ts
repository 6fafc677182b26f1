import assert from 'node:assert/strict'
import test from 'node:test'
import type { Clock } from '#base'
import type { HostReport } from '#flyd'
import { evacuateHost } from './evacuate-host.ts'

const none = { cpuMicros: 0, memoryMb: 0, machines: 0 }
const reportOf = (
  machines: Record<string, number>,
  evacuation: HostReport['evacuation'] = { moving: [], stay: [] },
): HostReport => ({
  ...{ host: 'ams-1', region: 'ams', version: '1', mode: 'draining', machines, evacuation },
  ...{ guests: 0, runs: 0, capacity: { limits: none, used: none, reservations: 0 } },
  rows: { count: 0, waiting: 0, inStep: true },
})

/** Whose sleeps pass at once. */
function leaping(): Clock {
  let nowMs = 0
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer: () => ({ [Symbol.dispose]: () => undefined }),
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      nowMs += ms
    },
  }
}

function hostOf(reports: readonly HostReport[]) {
  const left = [...reports]
  const next = async () => (left.length > 1 ? left.shift() : left[0]) as HostReport
  const modes: string[] = []
  const operations = {
    report: next,
    setMode: (mode: string) => {
      modes.push(mode)
      return next()
    },
  }
  return { operations, modes }
}

const around = () => {
  const seen: HostReport[] = []
  const { signal } = new AbortController()
  return { seen, options: { clock: leaping(), signal, seen: (one: HostReport) => seen.push(one) } }
}

test('a host is drained, and is told of until no machine is left on it', async () => {
  const moving = { moving: ['m1'], stay: [] }
  const reports = [
    reportOf({ started: 2 }),
    reportOf({ started: 1, migrated: 1 }, moving),
    reportOf({ started: 1, migrated: 1 }, moving),
    reportOf({ migrated: 2, destroyed: 1 }),
  ]
  const { operations, modes } = hostOf(reports)
  const { seen, options } = around()
  const end = await evacuateHost(operations, options)
  assert.deepEqual(modes, ['draining'])
  assert.deepEqual(end.machines, { migrated: 2, destroyed: 1 })
  assert.equal(seen.length, 3)
})

test('machines that cannot move end it, by name and with why', async () => {
  const stay = [{ machine: 'm2', app: 'db', why: 'no other host of ams has room' }]
  const { operations } = hostOf([reportOf({ started: 1 }, { moving: [], stay })])
  await assert.rejects(evacuateHost(operations, around().options), {
    code: 'host.not_empty',
    message: /m2 of db: no other host of ams has room/,
  })
})

test('a machine that is tried again and again, and stays, ends it all the same', async () => {
  const tried = reportOf({ started: 1 }, { moving: ['m2'], stay: [] })
  const stay = [{ machine: 'm2', app: 'db', why: 'no other host of ams has room' }]
  const stays = reportOf({ started: 1 }, { moving: [], stay })
  const tries = Array.from({ length: 20 }, () => [tried, ...Array(29).fill(stays)]).flat()
  const { operations } = hostOf([...tries, reportOf({ migrated: 1 })])
  await assert.rejects(evacuateHost(operations, around().options), { code: 'host.not_empty' })
})
