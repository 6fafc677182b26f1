import { backoffMs, type Clock, type Log, type Random } from '#base'
import type { NatsLink } from '#market'
import { ensureLogStream, type LogRetention } from './log-stream.ts'

const BACKOFF = { baseMs: 250, capMs: 15_000 } as const

/**
 * Sees to it that the log is there, each time that the link to NATS is made: a server that has lost its disk
 * begins a new one. Nobody waits for it; it tries until it succeeds or is disposed.
 */
export function keepLogStream(
  link: Pick<NatsLink, 'connection' | 'watch'>,
  retention: LogRetention,
  { clock, random, log }: { clock: Clock; random: Random; log: Log },
): Disposable {
  const stopping = new AbortController()
  let isTrying = false
  const ensure = async () => {
    if (isTrying) return
    isTrying = true
    try {
      for (let failures = 0; !stopping.signal.aborted; failures += 1) {
        const { connection } = link
        if (connection === undefined) return // the link tells when there is one
        try {
          await ensureLogStream(connection, retention)
          return
        } catch (err) {
          if (stopping.signal.aborted) return
          log.warn({ err }, 'the log of machines is not there yet')
          await clock
            .sleep(backoffMs(failures, BACKOFF, random), stopping.signal)
            .catch(() => undefined)
        }
      }
    } finally {
      isTrying = false
    }
  }
  const watching = link.watch(() => void ensure())
  void ensure()
  return {
    [Symbol.dispose]() {
      watching[Symbol.dispose]()
      stopping.abort(new Error('the log is no longer kept'))
    },
  }
}
