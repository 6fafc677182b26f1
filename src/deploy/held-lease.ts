import { retry } from '#base'
import { ApiError } from '#flaps-client'
import type { DeployContext } from './deploy-context.ts'
import { DeployError } from './errors.ts'

const TTL_S = 13
const REFRESH_MS = 4_000
const ACQUIRE_MS = 60_000
const BACKOFF = { baseMs: 500, capMs: 3_000 } as const

/**
 * The lease of one machine, kept alive until it is disposed. While it is held nobody else changes the
 * machine; short, so that a deploy that dies frees it soon.
 */
export class HeldLease implements AsyncDisposable {
  readonly nonce: string
  readonly #context: DeployContext
  readonly #machine: string
  readonly #ended = new AbortController()

  private constructor(context: DeployContext, machine: string, nonce: string) {
    this.nonce = nonce
    this.#context = context
    this.#machine = machine
  }

  /** @throws DeployError deploy.lease_held: somebody else kept it for a minute */
  static async take(context: DeployContext, machine: string): Promise<HeldLease> {
    const { machines, signal, clock, random } = context
    try {
      const { nonce } = await retry(() => machines.lease(machine, TTL_S, { signal }), {
        operation: 'taking the lease of a machine',
        ...BACKOFF,
        deadlineMs: ACQUIRE_MS,
        isTransient: (error) => error instanceof ApiError && error.code === 'api.conflict',
        signal,
        clock,
        random,
      })
      return HeldLease.of(context, machine, nonce)
    } catch (cause) {
      if (!(cause instanceof ApiError) || cause.code !== 'api.conflict') throw cause
      throw new DeployError('deploy.lease_held', {
        what: 'somebody else changes this machine',
        values: { machine, says: cause.what },
        fix: 'wait for that deploy to end; `godwit machine leases clear` takes the lease away from one that died',
        cause,
      })
    }
  }

  /** Of a lease that is held already: the machine was made with it. */
  static of(context: DeployContext, machine: string, nonce: string): HeldLease {
    const lease = new HeldLease(context, machine, nonce)
    void lease.#refresh()
    return lease
  }

  async #refresh(): Promise<void> {
    const { machines, clock } = this.#context
    const { signal } = this.#ended
    while (!signal.aborted) {
      try {
        await clock.sleep(REFRESH_MS, signal)
        await machines.lease(this.#machine, TTL_S, { nonce: this.nonce, signal })
      } catch (error) {
        if (signal.aborted || isGone(error)) return
        // A refresh that failed is tried again in time; a lease that is lost shows as a refused update.
      }
    }
  }

  /** Gives it back, also when the deploy was interrupted. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort()
    try {
      await this.#context.machines.release(this.#machine, this.nonce, { deadlineMs: TTL_S * 1000 })
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      this.#context.tell({
        kind: 'warning',
        text: `the lease of ${this.#machine} was not given back (${error.what}); it ends by itself in ${TTL_S} s`,
      })
    }
  }
}

const isGone = (error: unknown) => error instanceof ApiError && error.code === 'api.not_found'
