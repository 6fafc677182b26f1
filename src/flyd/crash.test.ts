import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { type CrashPoint, HostWorld } from './fixture/host-world.ts'
import { fingerprint, type Story, stories } from './fixture/stories.ts'

/** Tells the story with deaths at `points`; how it ended, and how often it could have died. */
async function tell(story: Story, ...points: readonly CrashPoint[]) {
  const world = new HostWorld()
  await story.prepare(world)
  await world.settle()
  world.resetCounters()
  world.crashAt(...points)
  await story.act(world)
  await world.settle()
  const { diskCount, actCount } = world
  return { end: await fingerprint(world), diskCount, actCount, world }
}

function pointsOf({ diskCount, actCount }: { diskCount: number; actCount: number }): CrashPoint[] {
  const points: CrashPoint[] = []
  for (const when of ['before', 'after'] as const) {
    for (let nth = 1; nth <= diskCount; nth += 1) points.push({ at: 'disk', nth, when })
    for (let nth = 1; nth <= actCount; nth += 1) {
      const kind = nth % 2 === 0 ? 'power' : 'process'
      points.push({ at: 'act', nth, when, kind })
    }
  }
  return points
}

for (const story of stories) {
  let told: ReturnType<typeof tell> | undefined
  const undisturbed = () => {
    told ??= tell(story)
    return told
  }

  test(`${story.name}: wherever flyd dies, it ends as if it had not`, async () => {
    const reference = await undisturbed()
    const points = pointsOf(reference)
    assert.ok(points.length >= 2, 'there is something to die in')
    for (const point of points) {
      const { end } = await tell(story, point)
      assert.deepEqual(end, reference.end, `died at ${JSON.stringify(point)}`)
    }
  })

  test(`${story.name}: nor do two deaths in a row change it`, async () => {
    const reference = await undisturbed()
    const points = pointsOf(reference)
    const random = seededRandom(story.name.length)
    // Dying after something and before the next is much the same: of first deaths, one of the two.
    for (const first of points.filter(({ when }) => when === 'before')) {
      const second = points[random.int(points.length)]
      if (second === undefined) continue
      const { end } = await tell(story, first, second)
      const where = `died at ${JSON.stringify([first, second])}`
      assert.deepEqual(end, reference.end, where)
    }
  })
}
