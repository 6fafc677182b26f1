import assert from 'node:assert/strict'
import { defineScenario } from '#sim'
import { ROUTING_LIMITS } from '../router/routing-limits.ts'
import { SimFleet } from './sim-fleet.fixture.ts'

/**
 * Requests that come in bursts to three proxies in two regions, machines that start slowly, fail to, or die with
 * their hosts, and news that come late. One need starts one machine, autostop never goes below the minimum, who
 * waits is bounded and answered, and when the requests end so do the machines.
 */
export const scenario = defineScenario({
  name: 'wake',
  describe:
    'one need starts one machine, nothing stops below the minimum, whatever fails or is late',
  defaults: {
    machinesPerHost: 3,
    min: 1,
    softLimit: 5,
    hardLimit: 8,
    startFailRatio: 0.2,
    lostAnswerRatio: 0.05,
    newsMs: 3_000,
    startMs: 6_000,
    bursts: 150,
    hostDeathRatio: 0.05,
    idleMs: 40 * 60_000,
  },
  run(world, options) {
    const node = world.addNode('platform', (env) => new SimFleet(env.clock, env.random, options))
    const fleet = node.app
    const dice = world.random('requests')
    let sent = 0
    world.invariant('requests that wait are bounded', () => {
      for (const { core } of fleet.proxies) {
        assert.ok(core.waitingCount <= ROUTING_LIMITS.waitingPerRoute)
      }
    })
    const ended = () =>
      fleet.proxies.reduce((sum, { served, refused }) => sum + served + refused, 0)
    for (let burst = 0; burst < options.bursts; burst += 1) {
      const proxy = fleet.proxies[dice.int(fleet.proxies.length)] as (typeof fleet.proxies)[number]
      const count = dice.int(4) === 0 ? 40 : 1 + dice.int(4)
      for (let at = 0; at < count; at += 1) proxy.request(50 + dice.next() * 4_000)
      sent += count
      if (dice.next() < options.hostDeathRatio) {
        fleet.killHost(['h1', 'h2', 'h3'][dice.int(3)] as string, dice.next() * 30_000)
      }
      world.run({ forMs: dice.next() * (dice.int(10) === 0 ? 400_000 : 5_000) })
    }
    fleet.isHealed = true
    world.eventually('every request was answered', () => ended() === sent, {
      withinMs: 4 * ROUTING_LIMITS.waitMs,
    })
    world.run({ forMs: 2 * 60_000 })
    const servedBefore = fleet.proxies[0]?.served ?? 0
    fleet.proxies[0]?.request(100)
    world.eventually('a request is served', () => fleet.proxies[0]?.served === servedBefore + 1, {
      withinMs: ROUTING_LIMITS.waitMs,
    })
    world.run({ forMs: options.idleMs })
    const running = [...fleet.machines.values()].filter(({ state }) => state === 'started')
    const inPrimary = running.filter(({ region }) => region === 'ams')
    assert.equal(inPrimary.length, running.length, 'a machine elsewhere runs on without requests')
    assert.ok(running.length <= options.min, 'more than the minimum runs on without requests')
  },
})
