import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import type { TestContext } from 'node:test'
import {
  BOX_TOPOLOGY,
  buildPlanet,
  loadTopology,
  planWorld,
  type RequestLoopOptions,
  type RequestRecord,
  removePlanet,
  requestLoop,
  type Topology,
  type World,
  whoamiServer,
} from '#planet'

export const WHOAMI_PORT = 8080
const READY_DEADLINE_MS = 15_000
const POLL_MS = 20

/**
 * Builds a planet that is removed when the test ends. The box without latency, unless told otherwise.
 */
export async function testPlanet(
  t: TestContext,
  name: string,
  changes: Partial<Topology> = { latency: false },
): Promise<World> {
  await removePlanet(name)
  t.after(() => removePlanet(name))
  return buildPlanet(planWorld(name, { ...loadTopology(BOX_TOPOLOGY), ...changes }))
}

/** Polls for a state. On failure says what was last seen. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  isGood: (seen: T) => boolean,
  deadlineMs = READY_DEADLINE_MS,
): Promise<T> {
  const endMs = performance.now() + deadlineMs
  for (;;) {
    const seen = await look()
    if (isGood(seen)) return seen
    if (performance.now() > endMs) assert.fail(`${what}: last seen ${JSON.stringify(seen)}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** A server on every host that answers with the host's name; returns once each one answers. */
export async function startWhoami(world: World): Promise<void> {
  for (const host of world.ofKind('host')) {
    await world.start(host.name, 'whoami', whoamiServer(WHOAMI_PORT))
  }
  for (const host of world.ofKind('host')) await whoamiReady(world, host.name)
}

export async function whoamiReady(world: World, host: string): Promise<void> {
  const ask = () => curl(world, host, `http://127.0.0.1:${WHOAMI_PORT}`)
  await eventually(`whoami of ${host}`, ask, (answer) => answer === host)
}

/** One request from a node; undefined when it got no answer. */
export async function curl(world: World, node: string, url: string): Promise<string | undefined> {
  try {
    return (await world.node(node).run('curl', ['-sS', '--max-time', '2', url])).trim()
  } catch {
    return undefined // the caller polls, and says what it last saw
  }
}

/** Both anycast addresses of the box, as URLs of the whoami servers. */
export const ANYCAST_URLS = [
  `http://203.0.113.1:${WHOAMI_PORT}`,
  `http://[2001:db8:a::1]:${WHOAMI_PORT}`,
] as const

/** A client that keeps asking, and every request it made. */
export class Prober {
  readonly records: RequestRecord[] = []
  readonly #child: ChildProcess

  constructor(
    t: TestContext,
    world: World,
    node: string,
    urls: readonly string[] = ANYCAST_URLS,
    { intervalMs = 25, deadlineMs = 2000, headers = {} }: Partial<RequestLoopOptions> = {},
  ) {
    const options = { intervalMs, deadlineMs, headers }
    const [command, ...args] = requestLoop(urls, options)
    this.#child = world.node(node).spawn(command, args)
    t.after(() => this.stop())
    let rest = ''
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.records.push(JSON.parse(line) as RequestRecord)
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => process.stderr.write(text))
  }

  /** Records of requests that were sent at or after a moment. */
  since(ms: number): RequestRecord[] {
    return this.records.filter(({ sentMs }) => sentMs >= ms)
  }

  /** Waits until each URL was answered `count` times since `ms`. */
  async answered(ms: number, count: number, urls: readonly string[] = ANYCAST_URLS): Promise<void> {
    const look = () =>
      urls.map((url) => this.since(ms).filter((one) => one.url === url && one.answer).length)
    await eventually('answers', look, (counts) => counts.every((answers) => answers >= count))
  }

  stop(): void {
    signalSpawned(this.#child, 'SIGTERM')
  }
}

/** Tells what a node spawned. Its child process alone is `nsenter`, whose death ends nothing. */
export function signalSpawned(
  { pid, exitCode, signalCode }: ChildProcess,
  signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL',
): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, signal)
}
