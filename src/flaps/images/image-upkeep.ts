import type { Clock, Log, Random } from '#base'
import type { ImageDepot } from './image-depot.ts'

const EVERY_MS = 10 * 60_000
const SPREAD_MS = 60_000

/** Lets images go that nobody needs, from time to time, until disposed. */
export class ImageUpkeep implements AsyncDisposable {
  readonly #stopping = new AbortController()
  readonly #loop: Promise<void>

  constructor(depot: ImageDepot, around: { clock: Clock; random: Random; log: Log }) {
    this.#loop = this.#run(depot, around)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('flaps ends'))
    await this.#loop
  }

  async #run(
    depot: ImageDepot,
    { clock, random, log }: { clock: Clock; random: Random; log: Log },
  ): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        for (const { app, digest, bytes } of await depot.tidy()) {
          log.info({ app, digest, bytes }, 'an image that nobody needs is removed')
        }
      } catch (err) {
        log.error({ err }, 'images that nobody needs stay for now')
      }
      await clock.sleep(EVERY_MS + random.int(SPREAD_MS), signal).catch(() => undefined)
    }
  }
}
