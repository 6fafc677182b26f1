import assert from 'node:assert/strict'
import test from 'node:test'
import { type Clock, firstOf, systemClock } from '#base'
import { World } from '#sim'
import { refuse } from '../errors.ts'
import {
  anySignal,
  type CrashPoint,
  createInput,
  HostWorld,
  oneMachine,
  reserve,
} from '../fixture/host-world.ts'
import { MACHINE } from '../fixture/stories.ts'
import type { HostCreate } from '../host.ts'
import type { LocalHost } from '../local-host.ts'
import { type ArrivingHost, type LeavingHost, type MoveEnd, moveMachine } from './move-machine.ts'

/** Two hosts, and a machine on the first. */
class TwoHosts {
  readonly world = new World({ seed: 1 })
  readonly old = new HostWorld(this.world, 'old')
  readonly fresh = new HostWorld(this.world, 'fresh')
  hasRoom = true
  #places = 0

  static async with(input: Partial<HostCreate> = {}): Promise<TwoHosts> {
    const hosts = new TwoHosts()
    hosts.fresh.hardware.addressPrefix = 'fdaa:0:2'
    await hosts.fresh.up()
    await hosts.old.up()
    if (hosts.old.book !== undefined) reserve(hosts.old.book, MACHINE, hosts.world.nowMs)
    await hosts.old.request(
      (host) => host.create(createInput(MACHINE, input), anySignal),
      () => true,
    )
    await hosts.settle()
    return hosts
  }

  async settle(): Promise<void> {
    await this.old.settle()
    await this.fresh.settle()
  }

  /** However often the old host dies on the way: it goes on when it is back. */
  async move(): Promise<MoveEnd | undefined> {
    let end: MoveEnd | undefined
    await this.old.request(
      async (host) => {
        end = await moveMachine(MACHINE, this.#options(host), anySignal)
      },
      () => false,
    )
    await this.settle()
    return end
  }

  #options(host: LocalHost) {
    const clock = this.old.clock ?? systemClock
    const { migration, view } = host
    const here: LeavingHost = {
      machine: (id) => view.machine(id),
      leave: (id) => migration.leave(id),
      describe: (id) => JSON.parse(JSON.stringify(migration.describe(id))),
      note: (id, to) => migration.note(id, to),
      abortOut: (id) => migration.abortOut(id),
      releaseOut: (id) => migration.releaseOut(id),
    }
    return { here, there: () => this.#there(clock), place: async () => this.#place(), clock }
  }

  #place() {
    if (!this.hasRoom) throw refuse('flyd.conflict', 'no host has room')
    this.#places += 1
    const reservation = `r-${this.#places}`
    this.fresh.book?.reserve(reservation, { needs: oneMachine }, 1e9, this.world.nowMs)
    return { hostId: 'fresh', reservation }
  }

  #there(clock: Clock): ArrivingHost {
    const { fresh } = this
    const reach = async <T>(act: (host: LocalHost) => Promise<T>): Promise<T> => {
      if (!fresh.node.isReady) {
        if (fresh.node.incarnation === null) fresh.node.start()
        throw refuse('flyd.host_unreached', 'away')
      }
      let isOver = false
      const call = act(fresh.host).finally(() => {
        isOver = true
      })
      const lost = async () => {
        while (!isOver) {
          if (!fresh.node.isReady) throw refuse('flyd.deadline_exceeded', 'it stopped answering')
          await clock.sleep(20)
        }
      }
      await firstOf<unknown>(call, lost())
      return await call
    }
    return {
      arrive: (moved, options) => reach((host) => host.migration.arrive(moved, options)),
      releaseIn: (id) => reach((host) => host.migration.releaseIn(id)),
      machine: (id, signal) => reach((host) => host.machine(id, signal)),
    }
  }

  get states() {
    const stateOf = ({ host }: HostWorld) => host.view.machine(MACHINE)?.state
    return [stateOf(this.old), stateOf(this.fresh)]
  }

  get guests() {
    return [this.old.hardware.guests.size, this.fresh.hardware.guests.size]
  }
}

test('a machine moves, runs there and nowhere else, and holds no room here', async () => {
  const hosts = await TwoHosts.with()
  assert.deepEqual(await hosts.move(), { moved: true })
  assert.deepEqual(hosts.states, ['migrated', 'started'])
  assert.deepEqual(hosts.guests, [0, 1])
  assert.equal(hosts.old.book?.holderCount, 0)
  assert.deepEqual(await hosts.move(), { moved: true }, 'twice is once')
})

test('a machine for which there is no room elsewhere is not even stopped', async () => {
  const hosts = await TwoHosts.with()
  hosts.hasRoom = false
  assert.deepEqual(await hosts.move(), { moved: false, why: 'no host has room' })
  assert.deepEqual(hosts.states, ['started', undefined])
  assert.deepEqual(hosts.old.effects?.sent, [])
})

test('a machine whose disk is here, and one that somebody holds, stays and is told why', async () => {
  const kept = await TwoHosts.with({ config: { image: 'nginx', rootfs: { persist: 'always' } } })
  assert.deepEqual(await kept.move(), { moved: false, why: 'its root is kept here' })
  const leased = await TwoHosts.with({ leaseTtlS: 3_600 })
  assert.deepEqual(await leased.move(), { moved: false, why: 'someone has its lease' })
  assert.deepEqual(leased.states, ['started', undefined])
})

test('a machine that cannot be started elsewhere goes on here', async () => {
  const hosts = await TwoHosts.with()
  hosts.fresh.onAct = async (act) => {
    if (act === 'makeRoot') throw new Error('no disk')
  }
  const end = await hosts.move()
  assert.deepEqual(end, { moved: false, why: 'it could not be started on fresh' })
  assert.deepEqual(hosts.states, ['started', 'migrated'])
  assert.deepEqual(hosts.guests, [1, 0])
})

test('wherever either host dies on the way, the machine runs in one place in the end, and no room is lost', async () => {
  const undisturbed = await TwoHosts.with()
  for (const world of [undisturbed.old, undisturbed.fresh]) world.resetCounters()
  await undisturbed.move()
  for (const which of ['old', 'fresh'] as const) {
    const { diskCount, actCount } = undisturbed[which]
    const points: CrashPoint[] = []
    for (const when of ['before', 'after'] as const) {
      for (let nth = 1; nth <= diskCount; nth += 1) points.push({ at: 'disk', nth, when })
      for (let nth = 1; nth <= actCount; nth += 1) {
        points.push({ at: 'act', nth, when, kind: nth % 2 === 0 ? 'power' : 'process' })
      }
    }
    assert.ok(points.length > 10, 'there is something to die in')
    for (const point of points) {
      const hosts = await TwoHosts.with()
      hosts[which].resetCounters()
      hosts[which].crashAt(point)
      const end = await hosts.move()
      const where = `${which} died at ${JSON.stringify([point, end])}`
      const place = end?.moved ? ['migrated', 'started'] : ['started', hosts.states[1]]
      assert.deepEqual(hosts.states, place, where)
      assert.deepEqual(hosts.guests, end?.moved ? [0, 1] : [1, 0], where)
      const held = [hosts.old.book?.holderCount, hosts.fresh.book?.holderCount]
      assert.deepEqual(held, end?.moved ? [0, 1] : [1, 0], where)
    }
  }
})
