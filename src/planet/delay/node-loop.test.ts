import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import test from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import { NodeLoop } from './node-loop.ts'

const ROUNDS_MAX = 10_000

async function settle(loop: NodeLoop): Promise<void> {
  for (let round = 0; !loop.wasQuiet(); round += 1) {
    assert(round < ROUNDS_MAX, 'never quiet')
    await nextRound()
  }
}

test('a round in which something finished is not quiet, and quiet returns', async () => {
  const loop = new NodeLoop()
  assert.equal(loop.wasQuiet(), false, 'the first round is unknown')
  await settle(loop)
  await stat('/')
  await nextRound() // as in use: asked from setImmediate, when the round's events are counted
  assert.equal(loop.wasQuiet(), false)
  await settle(loop)
})
