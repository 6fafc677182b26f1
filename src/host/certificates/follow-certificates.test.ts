import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Clock, createLog, seededRandom } from '#base'
import type { ApiClient } from '#corrosion'
import { foundCluster } from '../found-cluster.ts'
import { type HostRole, loadHostConfig } from '../host-config.ts'
import { CertificateFollower } from './follow-certificates.ts'
import { readHostSecrets, trustOf } from './host-secrets.ts'
import type { Renewed } from './renew-certificates.ts'

const log = createLog({ part: 'host', level: 'silent', format: 'json' })
const TURNS = 20

/** Time that passes as the test says. */
class HandClock implements Clock {
  #nowMs = 0
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>()

  nowMs = () => Date.UTC(2026, 11, 1) + this.#nowMs
  monotonicMs = () => this.#nowMs

  setTimer(run: () => void, afterMs: number): Disposable {
    const timer = { atMs: this.#nowMs + afterMs, run }
    this.#timers.add(timer)
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = this.setTimer(resolve, ms)
    signal?.addEventListener('abort', () => {
      timer[Symbol.dispose]()
      reject(signal.reason)
    })
    return promise
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    for (;;) {
      for (let n = 0; n < TURNS; n += 1) await turn()
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs)
      if (next === undefined || next.atMs > endMs) break
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      this.#timers.delete(next)
      next.run()
    }
    this.#nowMs = endMs
  }
}

async function follower(t: TestContext, role: HostRole) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-follow-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const region = { code: 'ams', name: '', latitude: 0, longitude: 0 }
  const { hosts } = await foundCluster({
    hosts: [
      { host: 'ams-1', region, address: '192.0.2.1', roles: ['gateway', 'nats'] },
      { host: 'ams-2', region, address: '192.0.2.2', roles: [role], settings: { folder } },
    ],
  })
  const own = hosts[1]
  mkdirSync(join(folder, 'secrets'))
  for (const [name, text] of Object.entries(own?.secrets ?? {})) {
    writeFileSync(join(folder, 'secrets', name), text)
  }
  writeFileSync(join(folder, 'host.toml'), own?.config ?? '')
  const config = loadHostConfig(join(folder, 'host.toml'))
  const clock = new HandClock()
  const seen = { asked: [] as number[], told: [] as unknown[][] }
  /** What gateways say, and how the next question ends. */
  const state = { trusts: '["a"]', waitingFor: [] as string[], fails: false }
  const client = {
    async *query() {
      yield { kind: 'row', columns: ['host_id', 'trusts'], cells: ['ams-1', state.trusts] }
    },
    async execute(_sql: string, values: unknown[]) {
      seen.told.push(values)
    },
  }
  const following = new CertificateFollower({
    config: () => config,
    client: client as unknown as ApiClient,
    ...{ clock, random: seededRandom(1), log },
    async ask(): Promise<Renewed> {
      seen.asked.push(clock.monotonicMs())
      if (state.fails) throw new Error('no gateway answers')
      const trust = trustOf('ams-2', readHostSecrets(config), clock.nowMs())
      return { trust, changed: [], waitingFor: state.waitingFor }
    },
  })
  t.after(() => following[Symbol.dispose]())
  following.start()
  return { clock, seen, state, following }
}

test('a host asks at its start and every five minutes or so, and tells the others what it trusts', async (t) => {
  const { clock, seen } = await follower(t, 'worker')
  await clock.pass(20_000)
  assert.equal(seen.asked.length, 1)
  const [told] = seen.told
  assert.equal(told?.[0], 'ams-2')
  assert.equal(told?.[1], JSON.stringify([told?.[2]]), 'it trusts the one that signed for it')
  await clock.pass(3_600_000)
  assert(seen.asked.length >= 10 && seen.asked.length <= 17, `${seen.asked.length} times an hour`)
})

test('when a gateway says something else it is asked within seconds, once', async (t) => {
  const { clock, seen, state } = await follower(t, 'worker')
  await clock.pass(20_000)
  state.trusts = '["a","b"]'
  await clock.pass(20_000)
  assert.equal(seen.asked.length, 2)
  await clock.pass(60_000)
  assert.equal(seen.asked.length, 2)
})

test('a gateway that waits for others asks itself again and again, a host waits to hear of it', async (t) => {
  for (const [role, atLeast, atMost] of [
    ['gateway', 20, 31],
    ['worker', 1, 1],
  ] as const) {
    const { clock, seen, state } = await follower(t, role)
    state.waitingFor = ['nrt-1']
    await clock.pass(60_000)
    const { length } = seen.asked
    assert(length >= atLeast && length <= atMost, `${role}: ${length} times a minute`)
  }
})

test('while no gateway answers a host goes on asking, and says what it trusts all the same', async (t) => {
  const { clock, seen, state, following } = await follower(t, 'worker')
  state.fails = true
  await clock.pass(600_000)
  assert(seen.asked.length >= 6 && seen.asked.length <= 21, `${seen.asked.length} times`)
  assert.equal(seen.told.length, seen.asked.length)
  state.fails = false
  const { length } = seen.asked
  await following.renewNow(AbortSignal.timeout(20_000))
  assert.equal(seen.asked.length, length + 1)
  following[Symbol.dispose]()
  await clock.pass(600_000)
  assert.equal(seen.asked.length, length + 1)
})
