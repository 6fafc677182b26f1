import assert from 'node:assert/strict'
import { defineScenario, type NodeEnv, type SimNode, type World } from '#sim'
import type { Identity, Rumour } from './member.ts'
import { Swim } from './swim.ts'
import type { SwimMessage } from './swim-message.ts'
import { DEFAULT_SWIM_OPTIONS } from './swim-options.ts'

const CLUSTER_ID = 7
/** Until all have told all that they joined. Traffic is measured from then on. */
const FORMING_MS = 120_000

/** A node of the simulated cluster: the shell around one core. */
class SwimNode {
  readonly swim: Swim
  readonly #env: NodeEnv
  #timer: Disposable | undefined
  #dueMs = Infinity

  constructor(env: NodeEnv, self: Identity, members: readonly Rumour[], bootstrap: string[]) {
    this.#env = env
    this.swim = new Swim({
      self,
      clusterId: CLUSTER_ID,
      options: DEFAULT_SWIM_OPTIONS,
      random: env.random,
      nowMs: env.clock.monotonicMs(),
      members,
    })
    env.network.bind((payload) => this.#send({ type: 'received', message: payload as SwimMessage }))
    this.#send({ type: 'joinRequested', addresses: bootstrap })
  }

  #send(event: Parameters<Swim['step']>[0]): void {
    for (const action of this.swim.step(event, this.#env.clock.monotonicMs())) {
      if (action.type === 'send') this.#env.network.send(action.to, action.message)
    }
    const dueMs = this.swim.wakeAtMs
    if (dueMs >= this.#dueMs && this.#timer !== undefined) return // wakes early enough already
    this.#timer?.[Symbol.dispose]()
    this.#dueMs = dueMs
    const waitMs = Math.max(0, dueMs - this.#env.clock.monotonicMs())
    this.#timer = this.#env.clock.setTimer(() => {
      this.#timer = undefined
      this.#dueMs = Infinity
      this.#send({ type: 'clockTicked' })
    }, waitMs)
  }
}

/** Bytes of a datagram: a header, then a rumour each with id, address, time and state. */
const HEADER_BYTES = 60
const RUMOUR_BYTES = 75
const measure = (payload: unknown) =>
  HEADER_BYTES + RUMOUR_BYTES * (payload as SwimMessage).rumours.length

/**
 * A cluster that knows itself. Nobody who lives is ever held for down; a node that dies is known to
 * be dead everywhere within 15 s; one that comes back is known to live.
 */
export const scenario = defineScenario({
  name: 'swim',
  describe: 'a dead node is known dead everywhere within 15 s, and no live one is declared dead',
  defaults: { nodes: 60, lossRatio: 0.05, latencyMs: 150, quietMs: 120_000, deaths: 2, print: 0 },
  world: ({ lossRatio, latencyMs }) => ({
    timelineEntries: 256,
    network: { link: { latencyMs, jitterMs: latencyMs / 10, lossRatio }, mtuBytes: 1_200, measure },
  }),
  run(world, { nodes: count, quietMs, deaths, print }) {
    const ids = Array.from({ length: count }, (_, at) => `n${at}`)
    const everyone: Rumour[] = ids.map((id) => ({
      identity: first(id),
      incarnation: 0,
      health: 'alive',
    }))
    const bootstrap = ids.slice(0, 3)
    let isFormed = false // a node that comes back later has forgotten everybody
    const nodes = ids.map((id) =>
      world.addNode(id, (env) => {
        const self = isFormed ? { ...first(id), renewedAt: env.clock.nowMs() } : first(id)
        return new SwimNode(env, self, isFormed ? [] : everyone, bootstrap)
      }),
    )
    isFormed = true
    const formingMs = Math.min(FORMING_MS, quietMs / 2)
    world.run({ forMs: formingMs })
    const forming = traffic(world, ids)
    world.run({ forMs: quietMs - formingMs })
    assertNobodyIsDown(nodes)
    if (print === 1) printTraffic(forming, traffic(world, ids), quietMs - formingMs)
    for (let death = 0; death < deaths; death += 1) {
      const victim = nodes[world.random('victims').int(count)] as SimNode<SwimNode>
      victim.crash()
      whenAll(
        world,
        nodes,
        `${victim.id} is known dead everywhere`,
        15_000,
        (app) => app.swim.healthOf(victim.id) === 'down',
      )
      victim.start()
      whenAll(world, nodes, `${victim.id} is known to be back`, 120_000, (app) =>
        app.swim.identity.id === victim.id
          ? app.swim.upCount === count - 1
          : app.swim.healthOf(victim.id) === 'alive',
      )
    }
    world.run({ forMs: 10_000 })
    assertNobodyIsDown(nodes)
  },
})

interface Traffic {
  readonly datagrams: number
  readonly bytes: number
}

/** What a node has sent on average. */
function traffic(world: World, ids: readonly string[]): Traffic {
  let datagrams = 0
  let bytes = 0
  for (const from of ids) {
    for (const to of ids) {
      if (from === to) continue
      const { sent, sentBytes } = world.network.counts(from, to)
      datagrams += sent
      bytes += sentBytes
    }
  }
  return { datagrams: datagrams / ids.length, bytes: bytes / ids.length }
}

/** What membership costs a node of a quiet cluster, without what it took to form. */
function printTraffic(before: Traffic, after: Traffic, forMs: number): void {
  const perSecond = (value: number) => Math.round((value / (forMs / 1_000)) * 100) / 100
  const figures = {
    datagrams: perSecond(after.datagrams - before.datagrams),
    bytes: perSecond(after.bytes - before.bytes),
    formingBytes: Math.round(before.bytes),
  }
  process.stdout.write(`per node and second: ${JSON.stringify(figures)}\n`)
}

const first = (id: string): Identity => ({ id, address: id, renewedAt: 0 })

function whenAll(
  world: World,
  nodes: readonly SimNode<SwimNode>[],
  promise: string,
  withinMs: number,
  isTrue: (app: SwimNode) => boolean,
): void {
  const endMs = world.nowMs + withinMs
  const holds = () => nodes.every((node) => !node.isUp || isTrue(node.app))
  while (!holds()) {
    if (world.nowMs >= endMs) world.fail('sim.never_happened', promise)
    world.run({ forMs: 100 })
  }
}

function assertNobodyIsDown(nodes: readonly SimNode<SwimNode>[]): void {
  for (const { id, app } of nodes) {
    const down = app.swim.snapshot().filter(({ health }) => health === 'down')
    assert.deepEqual(down, [], `${id} holds live members for down`)
  }
}
