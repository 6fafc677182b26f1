/** A certificate authority that speaks ACME, as a process of a planet's node: it looks at names over the planet's network. */
import { resolve } from 'node:path'
import type { TestContext } from 'node:test'
import type { World } from '#planet'
import { eventually, signalSpawned } from './planet-world.ts'

const PROGRAM = resolve(import.meta.dirname, '../src/proxy/certificates/acme-process.fixture.ts')
const PORT = 14_000

/** What the authority has done. */
export interface AuthorityState {
  readonly orderCount: number
  /** An account is a host's. */
  readonly issued: readonly { readonly name: string; readonly account: string }[]
  readonly validations: readonly string[]
  /** PEM of what signs. */
  readonly root: string
}

export class PlanetAuthority {
  readonly #world: World
  readonly #node: string

  private constructor(world: World, node: string) {
    this.#world = world
    this.#node = node
  }

  /** @param target the address to which every name leads */
  static async start(
    t: TestContext,
    world: World,
    node: string,
    target: string,
  ): Promise<PlanetAuthority> {
    const authority = new PlanetAuthority(world, node)
    const { ipv4 } = world.node(node).plan
    const options = ['--disable-warning=ExperimentalWarning', PROGRAM, ipv4, String(PORT), target]
    const child = world.node(node).spawn(process.execPath, options)
    child.stderr?.on('data', (text) => process.stderr.write(text))
    t.after(() => signalSpawned(child))
    await eventually(
      'the authority',
      () => authority.state().catch(() => undefined),
      Boolean,
      60_000,
    )
    return authority
  }

  get directoryUrl(): string {
    return `${this.#url}/directory`
  }

  async state(): Promise<AuthorityState> {
    const words = ['-sS', '--max-time', '10', `${this.#url}/state`]
    return JSON.parse(await this.#world.node(this.#node).run('curl', words))
  }

  get #url(): string {
    return `http://${this.#world.node(this.#node).plan.ipv4}:${PORT}`
  }
}
