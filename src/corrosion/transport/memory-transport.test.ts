import assert from 'node:assert/strict'
import { World } from '#sim'
import { MemoryTransport } from './memory-transport.ts'
import { transportContract, type Witness } from './transport-contract.ts'

const ids = ['n1', 'n2', 'n3'] as const

/** Real time turns the world: each look lets it live for some milliseconds of its own. */
transportContract('memory', async () => {
  const world = new World({ seed: 7, network: { link: { latencyMs: 5 }, freezePayloads: true } })
  const witnesses: Witness[] = []
  const boot = (id: string) => {
    const node = world.addNode(id, (env) => {
      const datagrams: Witness['datagrams'] = []
      const frames: Witness['frames'] = []
      const sessions: Witness['sessions'] = []
      const transport = new MemoryTransport({
        address: id,
        network: env.network,
        clock: env.clock,
        handlers: {
          datagramReceived: (bytes, from) =>
            datagrams.push({ text: Buffer.from(bytes).toString(), from }),
          frameReceived: (bytes, from) =>
            frames.push({ text: Buffer.from(bytes).toString(), from }),
          sessionOpened: (session) => sessions.push(session),
        },
      })
      return { transport, datagrams, frames, sessions }
    })
    return node
  }
  const nodes = ids.map(boot)
  witnesses.push(...nodes.map((node) => node.app))
  world.addNode('nobody', () => undefined).crash()
  let isOver = false
  const turning = (async () => {
    while (!isOver) await world.runAsync({ forMs: 20 })
  })()
  const [a, b, c] = witnesses
  assert(a !== undefined && b !== undefined && c !== undefined)
  return {
    nodes: [a, b, c],
    nobody: 'nobody',
    async until(what, isSo) {
      const endMs = world.nowMs + 60_000
      while (!isSo()) {
        assert(world.nowMs < endMs, `in a minute it did not come true: ${what}`)
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    async replace(index) {
      const node = nodes[index]
      assert(node !== undefined)
      node.crash()
      node.start()
      return node.app
    },
    async close() {
      isOver = true
      await turning
    },
  }
})
