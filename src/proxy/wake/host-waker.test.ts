import assert from 'node:assert/strict'
import test from 'node:test'
import { type Fault, GodwitError, systemClock } from '#base'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { HostWaker, type WakeHost } from './host-waker.ts'
import type { StopResult, WakeResult } from './machine-waker.ts'

class HostError extends GodwitError<'t.conflict' | 't.state' | 't.missing' | 't.broken'> {
  static override readonly catalogue = {
    ...{ 't.conflict': { status: 409 }, 't.state': { status: 412 } },
    ...{ 't.missing': { status: 404 }, 't.broken': { status: 500 } },
  }
}
const refusal = (code: HostError['code'], fault: Fault = { what: 'refused' }) =>
  new HostError(code, fault)

function stage(host: Partial<WakeHost>) {
  const rows = new TableFixture().app('a').machine('m1', 'a', 'h1')
  const machine = rows.table.machine('m1')
  assert(machine)
  const calls: string[] = []
  const watched = new Proxy(host, {
    get: (target, name) => {
      calls.push(String(name))
      return Reflect.get(target, name) ?? (async () => undefined)
    },
  }) as WakeHost
  const waker = new HostWaker((id) => (id === 'h1' ? watched : undefined), systemClock)
  return {
    calls,
    start: (deadlineMs = 60_000) =>
      new Promise<WakeResult>((resolve) => waker.start(machine, deadlineMs, resolve)),
    stop: (how: 'stop' | 'suspend') =>
      new Promise<StopResult>((resolve) => waker.stop(machine, how, resolve)),
  }
}

const fail = (error: unknown) => async () => {
  throw error
}

test('a start is over when the machine runs and its checks pass', async () => {
  const seen = [
    { state: 'starting' },
    { state: 'started', checks: [{ name: 'servicecheck-00-tcp-80', status: 'critical' }] },
    {
      state: 'started',
      checks: [
        { name: 'servicecheck-00-tcp-80', status: 'passing' },
        { name: 'top-level', status: 'critical' },
      ],
    },
  ]
  const world = stage({ machine: async () => seen.shift() as { state: string } })
  assert.deepEqual(await world.start(), { kind: 'ready' })
  assert.equal(seen.length, 0)
})

test('what goes wrong has the documented code', async () => {
  const code = async (host: Partial<WakeHost>, deadlineMs?: number) => {
    const result = await stage(host).start(deadlineMs)
    return result.kind === 'failed' ? result.code : result.kind
  }
  assert.equal(await code({ start: fail(refusal('t.conflict')) }), 'PM07')
  assert.equal(await code({ start: fail(refusal('t.state')) }), 'PM07')
  assert.equal(await code({ start: fail(refusal('t.missing')) }), 'PM01')
  assert.equal(await code({ start: fail(refusal('t.broken')) }), 'PM02')
  const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  assert.equal(await code({ start: fail(refused) }), 'PU03')
  assert.equal(await code({ machine: async () => ({ state: 'failed' }) }), 'PM08')
  assert.equal(await code({ machine: async () => ({ state: 'starting' }) }, 1), 'PM03')
})

test('suspending falls back to stopping where it is impossible, and only there', async () => {
  const impossible = stage({ suspend: fail(refusal('t.state')) })
  assert.deepEqual(await impossible.stop('suspend'), { kind: 'stopped' })
  assert.deepEqual(impossible.calls, ['suspend', 'stop'])
  const broken = stage({ suspend: fail(refusal('t.broken')) })
  assert.equal((await broken.stop('suspend')).kind, 'failed')
  assert.deepEqual(broken.calls, ['suspend'])
})
