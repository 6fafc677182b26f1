import type { ServerResponse } from 'node:http'
import type { Clock } from '#base'
import { refuse } from './errors.ts'

/** Longer than `wait` and `exec` hold a request. */
const CALL_DEADLINE_MS = 62_000

export interface RequestSignal extends Disposable {
  readonly signal: AbortSignal
  /** The client went away: nobody hears an answer. */
  readonly isUnheard: boolean
}

/**
 * Aborts when the client goes away, when the call takes too long, and when the server is drained. What
 * changes something is not drained: it ends by itself, and its answer is wanted.
 */
export function requestSignal(
  response: ServerResponse,
  options: { clock: Clock; draining: AbortSignal | undefined },
): RequestSignal {
  const { clock, draining } = options
  const controller = new AbortController()
  let isUnheard = false
  const onClose = () => {
    if (response.writableFinished) return
    isUnheard = true
    controller.abort(refuse('flaps.deadline_exceeded', 'canceled: the client went away'))
  }
  const onDrain = () =>
    controller.abort(refuse('flaps.host_unreached', 'unavailable: this server is going away'))
  const onLate = () =>
    controller.abort(refuse('flaps.deadline_exceeded', 'deadline_exceeded: the call took too long'))
  const timer = clock.setTimer(onLate, CALL_DEADLINE_MS)
  response.on('close', onClose)
  draining?.addEventListener('abort', onDrain, { once: true })
  if (response.destroyed) onClose()
  else if (draining?.aborted) onDrain()
  return {
    signal: controller.signal,
    get isUnheard() {
      return isUnheard
    },
    [Symbol.dispose]() {
      timer[Symbol.dispose]()
      response.off('close', onClose)
      draining?.removeEventListener('abort', onDrain)
    },
  }
}
