import assert from 'node:assert/strict'
import type { Clock } from '#base'
import { FRAME_BYTES_MAX, FrameReader } from '../wire/frame.ts'
import { TransportError } from './errors.ts'
import { type BiSession, SESSION_WAIT_MS, type WaitOptions } from './transport.ts'

/** The bytes under a session. What it throws ends the session. */
export interface SessionPipe {
  /** Bytes that came; undefined: none now; null: the peer has said all. */
  read(): Uint8Array | undefined | null
  /** How many of the bytes were taken; fewer than all: no room until `pipeMoved`. */
  write(bytes: Uint8Array): number
  finish(): void
  reset(): void
}

interface Waiter {
  /** Tries again; true: done, whatever the outcome. */
  readonly attempt: () => boolean
  readonly fail: (error: unknown) => void
}

/**
 * One end of a session, over any pipe. It reads from the pipe only when somebody receives, so what the
 * owner does not take stays below, where the window is, and in the end with the sender.
 */
export class SessionEnd implements BiSession {
  readonly peer: string
  readonly openedAtMs: number
  readonly #pipe: SessionPipe
  readonly #clock: Clock
  readonly #reader = new FrameReader(FRAME_BYTES_MAX)
  #sending: Waiter | undefined
  #receiving: Waiter | undefined
  #hasEnded = false
  #isFinished = false
  #failure: unknown

  constructor(peer: string, pipe: SessionPipe, clock: Clock) {
    this.peer = peer
    this.#pipe = pipe
    this.#clock = clock
    this.openedAtMs = clock.monotonicMs()
  }

  /** Said all and heard all, or failed: the pipe may forget it. */
  get isOver(): boolean {
    return this.#failure !== undefined || (this.#isFinished && this.#hasEnded)
  }

  send(frame: Uint8Array, options: WaitOptions = {}): Promise<void> {
    assert(this.#sending === undefined, 'one send at a time')
    assert(!this.#isFinished, 'a finished session sends nothing')
    let left = frame
    return this.#wait('sending to a peer', options, {
      step: () => {
        left = left.subarray(this.#pipe.write(left))
        return left.length === 0 ? { value: undefined } : undefined
      },
      hold: (waiter) => {
        this.#sending = waiter
      },
    })
  }

  receive(options: WaitOptions = {}): Promise<Uint8Array | null> {
    assert(this.#receiving === undefined, 'one receive at a time')
    return this.#wait('receiving from a peer', options, {
      step: () => this.#nextFrame(),
      hold: (waiter) => {
        this.#receiving = waiter
      },
    })
  }

  finish(): void {
    if (this.#isFinished || this.#failure !== undefined) return
    this.#isFinished = true
    this.#pipe.finish()
  }

  reset(): void {
    this.fail(sessionReset('this side gave the session up'))
  }

  /** The pipe has more to read, or room to write. */
  pipeMoved(): void {
    this.#receiving?.attempt()
    this.#sending?.attempt()
  }

  /** Ends the session for its owner and below. Only the first failure counts. */
  fail(error: unknown): void {
    if (this.isOver) return
    this.#failure = error
    this.#pipe.reset()
    this.#receiving?.fail(error)
    this.#sending?.fail(error)
  }

  #nextFrame(): { value: Uint8Array | null } | undefined {
    for (;;) {
      const payload = this.#reader.next()
      if (payload !== undefined) return { value: payload }
      if (this.#hasEnded) return { value: null }
      const chunk = this.#pipe.read()
      if (chunk === undefined) return undefined
      if (chunk !== null) this.#reader.push(chunk)
      else if (this.#reader.isInFrame) throw sessionReset('the peer ended within a frame')
      else this.#hasEnded = true
    }
  }

  #wait<T>(
    operation: string,
    { deadlineMs = SESSION_WAIT_MS, signal }: WaitOptions,
    { step, hold }: Steps<T>,
  ): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (signal?.aborted) {
      this.fail(signal.reason)
      return Promise.reject(signal.reason)
    }
    return new Promise<T>((resolve, reject) => {
      let timer: Disposable | undefined
      const settle = () => {
        timer?.[Symbol.dispose]()
        signal?.removeEventListener('abort', onAbort)
        hold(undefined)
      }
      const onAbort = () => this.fail(signal?.reason)
      const attempt = (): boolean => {
        try {
          const done = step()
          if (done === undefined) return false
          settle()
          resolve(done.value)
        } catch (error) {
          settle()
          reject(error)
          this.fail(error)
        }
        return true
      }
      if (attempt()) return
      hold({
        attempt,
        fail(error) {
          settle()
          reject(error)
        },
      })
      timer = this.#clock.setTimer(() => this.fail(tooSlow(operation, deadlineMs)), deadlineMs)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}

interface Steps<T> {
  /** Tries once; undefined: not yet. */
  readonly step: () => { value: T } | undefined
  readonly hold: (waiter: Waiter | undefined) => void
}

export function sessionReset(why: string, cause?: unknown): TransportError {
  return new TransportError('transport.session_reset', {
    what: `a session with a peer ended early: ${why}`,
    cause,
  })
}

function tooSlow(operation: string, deadlineMs: number): TransportError {
  return new TransportError('transport.deadline_exceeded', {
    what: `${operation} did not end in time`,
    values: { deadlineMs },
  })
}
