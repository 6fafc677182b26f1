import assert from 'node:assert/strict'
import { Backup, Client, type Mistake, Primary } from './replicated-counter.ts'
import { defineScenario } from './scenario.ts'

const REQUESTS_PER_CLIENT = 1_000_000

/** The example: how a scenario is written, and the proof that the simulator finds mistakes. */
export const scenario = defineScenario({
  name: 'replicated-counter',
  describe: 'an acknowledged add is on both machines, once, whatever crashes and is cut off',
  defaults: { clients: 2, requests: 40, faultsMs: 20_000, mistake: 'none' },
  run(world, options) {
    const mistake = options.mistake as Mistake
    const acknowledged: number[] = []
    const supervised = { restartAfterMs: 300 }
    const primary = world.addNode('primary', (env) => new Primary(env, mistake), supervised)
    const backup = world.addNode('backup', (env) => new Backup(env, mistake), supervised)
    const clients = Array.from({ length: options.clients }, (_, at) =>
      world.addNode(`client${at + 1}`, (env) => {
        const firstRequest = (at + 1) * REQUESTS_PER_CLIENT
        const added = ({ request }: { request: number }) => acknowledged.push(request)
        return new Client(env, { firstRequest, requestCount: options.requests, added })
      }),
    )

    for (const node of [primary, backup]) {
      world.invariant(`every acknowledged add is in the log of ${node.id}, once`, () => {
        if (!node.isReady) return
        const { times } = node.app.log
        for (const request of acknowledged) {
          assert.equal(times.get(request) ?? 0, 1, `request ${request} is there so many times`)
        }
      })
    }
    world.finally('both logs are equal, and hold every request', () => {
      assert.deepEqual(backup.app.log.entries, primary.app.log.entries)
      assert.equal(primary.app.log.times.size, options.clients * options.requests)
    })

    world.startFaults(
      {
        lossRatio: 0.1,
        duplicateRatio: 0.1,
        reorderRatio: 0.1,
        partitionEveryMs: 4_000,
        asymmetricCutEveryMs: 4_000,
        cutForMs: 1_000,
        crashEveryMs: 700,
        downForMs: 300,
        pauseEveryMs: 2_000,
        pauseForMs: 300,
        skewEveryMs: 2_000,
        driftRatio: 0.01,
        diskErrorRatio: 0.003,
        diskCrashRatio: 0.02,
      },
      { spare: clients.map(({ id }) => id), downMax: 2 },
    )
    world.run({ forMs: options.faultsMs })
    world.heal()
    const isDone = () => clients.every(({ app }) => app.isDone)
    world.eventually('every client is served', isDone, { withinMs: 60_000 })
    const isEqual = () => backup.app.log.entries.length === primary.app.log.entries.length
    world.eventually('the backup catches up', isEqual, { withinMs: 10_000 })
  },
})
