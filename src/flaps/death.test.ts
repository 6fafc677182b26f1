import assert from 'node:assert/strict'
import test from 'node:test'
import { pollUntil } from '#base'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { StillClock } from './fixture/still-clock.ts'

/** What an instance does for a create, in order; it dies before or after each. */
const steps = ['claim', 'place', 'create'] as const

/** Longer than claims and reservations live. */
const ALL_RAN_OUT_MS = 300_000

for (const step of steps) {
  for (const when of ['before', 'after'] as const) {
    test(`an instance that dies ${when} "${step}" of a create leaves one machine or none, and the name usable`, async () => {
      const clock = new StillClock()
      await using world = await FlapsWorld.open({ clock })
      const reached = dieAt(world, step, when)
      world.addInstance()
      const body = { name: 'first', config: { image: 'nginx' } }
      const dying = new AbortController()
      const server = world.servers[0]
      assert(server !== undefined)
      const address = await server.listen({ host: '127.0.0.1', port: 0 })
      const lost = fetch(`${address}/v1/apps/heron/machines`, {
        method: 'POST',
        headers: { authorization: world.orgToken() },
        body: JSON.stringify(body),
        signal: dying.signal,
      })
      await pollUntil('the step', () => reached(), { deadlineMs: 10_000 })
      revive(world)
      const atOnce = await world.call('POST', '/apps/heron/machines', { body, instance: 1 })
      if (step === 'claim' && when === 'before') assert.equal(atOnce.status, 200)
      else assert.equal(atOnce.status, 409)
      clock.advance(ALL_RAN_OUT_MS)
      const later = await world.call('POST', '/apps/heron/machines', { body, instance: 1 })
      const list = await world.call('GET', '/apps/heron/machines', { instance: 1 })
      assert.equal(list.body.length, 1, 'exactly one machine')
      if (later.status !== 200) {
        assert.match(later.body.error, new RegExp(`machine ID ${list.body[0].id} already exists`))
      }
      dying.abort()
      await assert.rejects(lost, { name: 'AbortError' })
    })
  }
}

const never = () => new Promise<never>(() => undefined)
const revivals = new WeakMap<FlapsWorld, () => void>()

/** The next such call never comes back to its caller. True once it was made. */
function dieAt(world: FlapsWorld, step: (typeof steps)[number], when: 'before' | 'after') {
  let isReached = false
  const [host] = world.hosts
  const { names, placement } = world
  const originals = { claim: names.claim, place: placement.place, create: host.create }
  revivals.set(world, () => {
    names.claim = originals.claim
    placement.place = originals.place
    host.create = originals.create
  })
  const dying =
    <Args extends unknown[], Result>(owner: object, work: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      if (when === 'after') await work.apply(owner, args)
      isReached = true
      return never()
    }
  if (step === 'claim') names.claim = dying(names, originals.claim)
  if (step === 'place')
    placement.place = dying(placement, originals.place) as typeof placement.place
  if (step === 'create') host.create = dying(host, originals.create)
  return () => isReached
}

const revive = (world: FlapsWorld) => revivals.get(world)?.()
