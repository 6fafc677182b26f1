import { systemClock } from '#base'
import type { ReleasesClient } from '#flaps-client'

/** One whose deploy dies reads as interrupted so many seconds after its last word. */
export const RUNNING = { status: 'running', ttl: 180 } as const
const WORD_MS = 60_000

/** Until it is disposed, which waits for the last word: what comes of the deploy is told after it. */
export function sayItRuns(releases: ReleasesClient, id: string): AsyncDisposable {
  const ending = new AbortController()
  const { signal } = ending
  const say = async () => {
    while (!signal.aborted) {
      try {
        await systemClock.sleep(WORD_MS, signal)
        await releases.update(id, RUNNING, { signal })
      } catch {
        // Told to end, or a gateway that is away: the next word may reach it, and nothing depends on one.
      }
    }
  }
  const said = say()
  return {
    async [Symbol.asyncDispose]() {
      ending.abort()
      await said
    },
  }
}
