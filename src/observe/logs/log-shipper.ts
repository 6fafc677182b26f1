import { type Clock, errorCode, type Log, systemClock } from '#base'
import type { NatsLink } from '#market'
import { LineSplitter } from './line-splitter.ts'
import { type LogLevel, type LogProvider, type LogSource, subjectOf } from './log-entry.ts'
import { LOG_QUEUE_LIMITS, LogQueue, type LogQueueLimits } from './log-queue.ts'

export interface LogShipperOptions {
  readonly link: NatsLink
  readonly log: Log
  readonly limits?: LogQueueLimits
  readonly clock?: Clock
}

const BATCH = 500
const PERIOD_MS = 50
/** A line that does not end is sent after so long: a prompt, a progress bar. */
const PARTIAL_MS = 1_000

/** The output of one machine. Disposing sends what has no end yet. */
export interface LogWriter extends Disposable {
  /** The machine's own output, in pieces as they come. */
  write(bytes: Buffer, level?: LogLevel): void
  /** What the platform says about it, a line. */
  say(message: string, level?: LogLevel, provider?: LogProvider): void
}

/**
 * Sends the log of a host's machines to NATS. Nobody waits for it: what cannot be sent now waits, within
 * bounds, and then is lost, which is told (`LogQueue`).
 */
export class LogShipper implements AsyncDisposable {
  readonly #link: NatsLink
  readonly #log: Log
  readonly #clock: Clock
  readonly #queue: LogQueue
  #timer: Disposable | undefined
  #isEnded = false
  #lastNs = 0n

  constructor({ link, log, limits = LOG_QUEUE_LIMITS, clock = systemClock }: LogShipperOptions) {
    this.#link = link
    this.#log = log
    this.#clock = clock
    this.#queue = new LogQueue(limits)
  }

  /** Lines that wait to be sent. */
  get waiting(): number {
    return this.#queue.size
  }

  /** Lines that were lost because NATS was away for too long. */
  get lost(): number {
    return this.#queue.droppedOldest
  }

  writerFor(source: LogSource): LogWriter {
    const subject = subjectOf(source)
    let quietTimer: Disposable | undefined
    let level: LogLevel = 'info'
    const add = (message: string, of: LogLevel, provider: LogProvider) =>
      this.#push(subject, source, message, of, provider)
    const lines = new LineSplitter((line) => add(line, level, 'app'))
    const stopWaiting = () => {
      quietTimer?.[Symbol.dispose]()
      quietTimer = undefined
    }
    return {
      write: (bytes, of = 'info') => {
        if (of !== level) lines.flush()
        level = of
        stopWaiting()
        lines.push(bytes)
        if (lines.isHolding) quietTimer = this.#clock.setTimer(() => lines.flush(), PARTIAL_MS)
      },
      say: (message, of = 'info', provider = 'runner') => add(message, of, provider),
      [Symbol.dispose]() {
        stopWaiting()
        lines.flush()
      },
    }
  }

  #push(
    subject: string,
    source: LogSource,
    message: string,
    level: LogLevel,
    provider: LogProvider,
  ): void {
    const { app, region, machine, host } = source
    this.#queue.push(
      {
        subject,
        entry: {
          event: { provider },
          fly: { app: { name: app, instance: machine }, region },
          host,
          log: { level },
          message,
          timestamp: this.#timestamp(),
        },
      },
      this.#clock.monotonicMs(),
    )
    this.#schedule()
  }

  /** Grows with every line, so that lines of one millisecond stay in order. */
  #timestamp(): string {
    const nowNs = BigInt(Math.round(this.#clock.nowMs())) * 1_000_000n
    this.#lastNs = nowNs > this.#lastNs ? nowNs : this.#lastNs + 1n
    const seconds = new Date(Number(this.#lastNs / 1_000_000n)).toISOString().slice(0, 19)
    return `${seconds}.${String(this.#lastNs % 1_000_000_000n).padStart(9, '0')}Z`
  }

  #schedule(): void {
    if (this.#isEnded || this.#timer !== undefined) return
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined
      this.#send()
      if (this.#queue.size > 0) this.#schedule()
    }, PERIOD_MS)
  }

  #send(): void {
    while (this.#queue.size > 0) {
      const batch = this.#queue.take(BATCH)
      for (const [at, { subject, entry }] of batch.entries()) {
        try {
          this.#link.publish(subject, JSON.stringify(entry))
        } catch (error) {
          if (errorCode(error) !== 'market.unavailable') {
            // It would fail again: this line is lost, and the rest must not wait for it.
            this.#log.error({ err: error, subject }, 'a line of the log was not sent')
            continue
          }
          this.#queue.putBack(batch.slice(at))
          return
        }
      }
    }
  }

  /** Sends what it can. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true
    this.#timer?.[Symbol.dispose]()
    this.#send()
    await this.#link.flush().catch((err: unknown) => {
      this.#log.warn({ err, waiting: this.#queue.size }, 'the last lines of the log may be lost')
    })
  }
}
