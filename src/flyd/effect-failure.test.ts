import assert from 'node:assert/strict'
import test from 'node:test'
import { EffectError } from './effect-error.ts'
import { HostWorld } from './fixture/host-world.ts'
import { fingerprint, MACHINE, type Story, stories } from './fixture/stories.ts'

/** Acts of a story: so many begin when nothing fails. */
async function countActs(story: Story): Promise<number> {
  const world = new HostWorld()
  await story.prepare(world)
  await world.settle()
  world.resetCounters()
  await story.act(world)
  await world.settle()
  return world.actCount
}

async function tell(story: Story, spoil: (nth: number, signal: AbortSignal) => Promise<void>) {
  const world = new HostWorld()
  await story.prepare(world)
  await world.settle()
  let nth = 0
  world.onAct = async (act, _id, signal) => {
    if (act === 'adopt') return
    nth += 1
    await spoil(nth, signal)
  }
  await story.act(world).catch((error: unknown) => assert.match(String(error), /could not be/))
  await world.settle()
  return world
}

/** A machine is in a state that it stays in, and what stands is what that state has. */
function checkWhole(world: HostWorld, where: string): void {
  const machine = world.host.view.machine(MACHINE)
  const { guests, roots, networks, attachments } = world.hardware.inventory()
  assert.equal(world.host.engine.runs().length, 0, where)
  const isUp = machine?.state === 'started' || machine?.state === 'suspended'
  const isDown = ['stopped', 'failed', 'destroyed', 'migrated', undefined].includes(machine?.state)
  assert.ok(isUp || isDown, `${where}: ${machine?.state}`)
  assert.equal(guests.length, isUp ? 1 : 0, where)
  if (!isUp) assert.deepEqual([roots, networks, attachments], [[], [], []], where)
  assert.equal(world.book?.used.machines, isUp ? 1 : 0, where)
}

for (const story of stories) {
  test(`${story.name}: an act that fails for a while changes nothing of the end`, async () => {
    const quiet = await tell(story, async () => undefined)
    const reference = await fingerprint(quiet)
    const acts = await countActs(story)
    for (let at = 1; at <= acts; at += 1) {
      const world = await tell(story, async (nth) => {
        if (nth === at || nth === at + 1) throw new Error('not now')
      })
      assert.deepEqual(await fingerprint(world), reference, `act ${at} failed twice`)
    }
  })

  test(`${story.name}: an act that fails for good or hangs leaves a whole state and no leak`, async () => {
    const acts = await countActs(story)
    for (let at = 1; at <= acts; at += 1) {
      const failed = await tell(story, async (nth) => {
        if (nth === at) throw new EffectError('effect.fatal', { what: 'never' })
      })
      checkWhole(failed, `act ${at} failed`)
      const hung = await tell(story, async (nth, signal) => {
        if (nth === at) await heeding(signal)
      })
      checkWhole(hung, `act ${at} hung`)
      const deaf = await tell(story, async (nth) => {
        if (nth === at) await new Promise(() => undefined)
      })
      checkWhole(deaf, `act ${at} hung and did not heed its signal`)
    }
  })

  test(`${story.name}: cancelled in any act, it leaves a whole state and no leak`, async () => {
    const acts = await countActs(story)
    for (let at = 1; at <= acts; at += 1) {
      const holder: { world?: HostWorld } = {}
      const world = new HostWorld()
      holder.world = world
      await story.prepare(world)
      await world.settle()
      let nth = 0
      world.onAct = async (act) => {
        if (act === 'adopt') return
        nth += 1
        const [run] = world.host.engine.runs()
        if (nth === at && run !== undefined) void world.host.engine.cancel(run.id)
      }
      await story.act(world).catch((error: unknown) => assert.match(String(error), /could not be/))
      await world.settle()
      checkWhole(world, `cancelled in act ${at}`)
    }
  })
}

function heeding(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
