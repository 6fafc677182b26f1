import { defineScenario, type NodeEnv, regionLatency, type World } from '#sim'
import { Broadcaster } from './broadcaster.ts'

/** One way, milliseconds: what light in cables needs between cities, and routers add. */
const ONE_WAY_MS = {
  ams: {
    fra: 4,
    lhr: 4,
    iad: 41,
    ord: 48,
    lax: 70,
    gru: 98,
    sin: 80,
    nrt: 115,
    syd: 128,
    bom: 60,
    jnb: 82,
  },
  fra: {
    lhr: 7,
    iad: 44,
    ord: 51,
    lax: 73,
    gru: 101,
    sin: 78,
    nrt: 113,
    syd: 127,
    bom: 58,
    jnb: 80,
  },
  lhr: { iad: 38, ord: 45, lax: 67, gru: 95, sin: 83, nrt: 112, syd: 131, bom: 62, jnb: 84 },
  iad: { ord: 9, lax: 30, gru: 60, sin: 110, nrt: 78, syd: 100, bom: 95, jnb: 115 },
  ord: { lax: 26, gru: 68, sin: 102, nrt: 70, syd: 94, bom: 102, jnb: 121 },
  lax: { gru: 86, sin: 84, nrt: 50, syd: 70, bom: 112, jnb: 140 },
  gru: { sin: 162, nrt: 130, syd: 155, bom: 150, jnb: 165 },
  sin: { nrt: 35, syd: 47, bom: 29, jnb: 118 },
  nrt: { syd: 54, bom: 62, jnb: 150 },
  syd: { bom: 74, jnb: 195 },
  bom: { jnb: 88 },
} as const
const REGIONS = ['ams', 'fra', 'lhr', 'iad', 'ord', 'lax', 'gru', 'sin', 'nrt', 'syd', 'bom', 'jnb']
const LOCAL_MS = 0.4

/** A change as it travels: its size counts, its bytes do not. */
interface Change {
  readonly kind: 'change'
  readonly key: string
  readonly frame: Uint8Array
  readonly origin: string
}

/** What sync comes to: a peer answers with what the asker lacks. */
interface Question {
  readonly kind: 'question'
  readonly known: ReadonlySet<string>
}

const FRAME_BYTES = 220
const SYNC_MS = 5_000

class Gossiper {
  readonly known = new Map<string, Change>()
  readonly #env: NodeEnv
  readonly #broadcaster: Broadcaster
  readonly #peers: readonly string[]
  readonly #seen: (key: string) => void
  /** Copies of changes that went out. */
  copies = 0
  #timer: Disposable | undefined

  constructor(
    env: NodeEnv,
    peers: readonly { readonly id: string; readonly rttMs: number }[],
    seen: (key: string) => void,
  ) {
    this.#env = env
    this.#seen = seen
    this.#peers = peers.map(({ id }) => id)
    this.#broadcaster = new Broadcaster(env.random)
    for (const { id, rttMs } of peers) {
      this.#broadcaster.peerUp(id, id)
      this.#broadcaster.rttSampled(id, rttMs)
    }
    env.network.bind((payload, from) => this.#receive(payload as Change | Question, from))
    env.clock.setTimer(() => this.#sync(), env.random.next() * SYNC_MS)
  }

  commit(key: string): void {
    const frame = Buffer.alloc(FRAME_BYTES, key)
    const change: Change = { kind: 'change', key, frame, origin: this.#env.id }
    this.#learn(change)
    this.#send(change, this.#broadcaster.spreadOwn(frame, this.#env.clock.monotonicMs()))
  }

  #receive(message: Change | Question, from: string): void {
    if (message.kind === 'question') {
      for (const change of this.known.values()) {
        if (!message.known.has(change.key)) this.#tell(from, change)
      }
      return
    }
    if (this.known.has(message.key)) return
    this.#learn(message)
    const { frame, origin } = message
    const nowMs = this.#env.clock.monotonicMs()
    this.#send(message, this.#broadcaster.passOn(frame, from, origin, nowMs))
  }

  #learn(change: Change): void {
    this.known.set(change.key, change)
    this.#seen(change.key)
  }

  #tell(to: string, change: Change): void {
    this.copies += 1
    this.#env.network.send(to, change)
  }

  #send(change: Change, actions: ReturnType<Broadcaster['tick']>): void {
    for (const { to } of actions) this.#tell(to, change)
    this.#resendLater()
  }

  #resendLater(): void {
    const { wakeAtMs } = this.#broadcaster
    if (wakeAtMs === Infinity || this.#timer !== undefined) return
    const { clock } = this.#env
    this.#timer = clock.setTimer(
      () => {
        this.#timer = undefined
        for (const { to, frame } of this.#broadcaster.tick(clock.monotonicMs())) {
          const key = frame.subarray(0, KEY_BYTES).toString()
          const change = this.known.get(key)
          if (change !== undefined) this.#tell(to, change)
        }
        this.#resendLater()
      },
      Math.max(0, wakeAtMs - clock.monotonicMs()),
    )
  }

  #sync(): void {
    const { network, random, clock } = this.#env
    const peer = this.#peers[random.int(this.#peers.length)]
    if (peer !== undefined)
      network.send(peer, { kind: 'question', known: new Set(this.known.keys()) })
    clock.setTimer(() => this.#sync(), SYNC_MS * (0.7 + 0.6 * random.next()))
  }
}

const KEY_BYTES = 6

/** Changes of random nodes, and how long they take to be everywhere. */
export const scenario = defineScenario({
  name: 'propagation',
  describe: 'a change is on 99 % of all nodes within 1.5 s, and on all in the end',
  defaults: { nodes: 1_000, changes: 20, lossRatio: 0.01, print: 0 },
  world: ({ lossRatio }) => {
    const regional = regionLatency(ONE_WAY_MS, LOCAL_MS)
    return {
      timelineEntries: 64,
      network: {
        link: (from, to) => ({ ...regional(from, to), lossRatio }),
      },
    }
  },
  run(world, { nodes: count, changes, print }) {
    const ids = Array.from({ length: count }, (_, at) => `n${at}`)
    const regionOf = (at: number) => REGIONS[at % REGIONS.length] as string
    const committedAtMs = new Map<string, number>()
    const delaysMs: number[] = []
    const seen = (key: string) => {
      const committedMs = committedAtMs.get(key)
      if (committedMs !== undefined) delaysMs.push(world.nowMs - committedMs)
    }
    const nodes = ids.map((id, at) => {
      const peers = ids.flatMap((peer, other) =>
        other === at ? [] : [{ id: peer, rttMs: 2 * oneWayMs(regionOf(at), regionOf(other)) }],
      )
      const boot = (env: NodeEnv) => new Gossiper(env, peers, seen)
      return world.addNode(id, boot, { region: regionOf(at) })
    })
    world.run({ forMs: 100 })
    for (let change = 0; change < changes; change += 1) {
      const key = `${change}`.padStart(KEY_BYTES, '0')
      committedAtMs.set(key, world.nowMs)
      nodes[world.random('writers').int(count)]?.app.commit(key)
      world.run({ forMs: 250 })
    }
    const everywhere = () => nodes.every(({ app }) => app.known.size === changes)
    whenTrue(world, everywhere)
    const copies = nodes.reduce((sum, { app }) => sum + app.copies, 0) / changes / count
    report(world, delaysMs, copies, { count, print })
  },
})

function oneWayMs(a: string, b: string): number {
  const matrix: Readonly<Record<string, Readonly<Record<string, number>>>> = ONE_WAY_MS
  return a === b ? LOCAL_MS : (matrix[a]?.[b] ?? matrix[b]?.[a] ?? 0)
}

function whenTrue(world: World, isSo: () => boolean): void {
  const endMs = world.nowMs + 60_000
  while (!isSo()) {
    if (world.nowMs >= endMs) world.fail('sim.never_happened', 'every change is on every node')
    world.run({ forMs: 500 })
  }
}

function report(
  world: World,
  delaysMs: number[],
  copies: number,
  { count, print }: { count: number; print: number },
): void {
  delaysMs.sort((a, b) => a - b)
  const at = (ratio: number) => {
    return delaysMs[Math.min(delaysMs.length - 1, Math.floor(ratio * delaysMs.length))] ?? 0
  }
  const figures = {
    nodes: count,
    p50Ms: Math.round(at(0.5)),
    p99Ms: Math.round(at(0.99)),
    maxMs: Math.round(at(1)),
    bytesPerChangeAndNode: Math.round(copies * FRAME_BYTES),
    copiesPerChangeAndNode: Math.round(copies * 100) / 100,
  }
  world.log('propagation', figures)
  if (print === 1) process.stdout.write(`${JSON.stringify(figures)}\n`)
  const isSlow = at(0.99) >= 1_500
  if (isSlow) world.fail('sim.final_check_failed', 'p99 is below 1.5 s', undefined, figures)
}
