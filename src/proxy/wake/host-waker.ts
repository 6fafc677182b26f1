import type { Duplex } from 'node:stream'
import { type Clock, errorCode, httpStatusOf, startDeadline } from '#base'
import type { MachineEntry } from '../routing-table/app-tree.ts'
import type { MachineWaker, StopResult, WakeErrorCode, WakeResult } from './machine-waker.ts'

/** What is asked of a machine's host: the part of flyd's API that the proxy needs. */
export interface WakeHost {
  start(id: string, options: { readonly nonce: undefined }, signal: AbortSignal): Promise<unknown>
  stop(
    id: string,
    options: {
      readonly nonce: undefined
      readonly signal: undefined
      readonly timeoutMs: undefined
    },
    signal: AbortSignal,
  ): Promise<void>
  suspend(id: string, options: { readonly nonce: undefined }, signal: AbortSignal): Promise<void>
  /** Port 0: its files, by SFTP. Absent: they cannot be read. */
  connect?(id: string, options: { readonly port: number }, signal: AbortSignal): Promise<Duplex>
  machine(
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly state: string; readonly checks?: readonly unknown[] | undefined }>
}

const LOOK_MS = 100
const STOP_MS_MAX = 5 * 60_000

/** A start asks the host, then looks until the machine runs and its service checks pass. */
export class HostWaker implements MachineWaker {
  readonly #hostOf: (hostId: string) => WakeHost | undefined
  readonly #clock: Clock

  /** @param hostOf undefined: no way to that host is known */
  constructor(hostOf: (hostId: string) => WakeHost | undefined, clock: Clock) {
    this.#hostOf = hostOf
    this.#clock = clock
  }

  start(...[machine, deadlineMs, done]: Parameters<MachineWaker['start']>): void {
    void this.#start(machine, deadlineMs).then(done)
  }

  stop(...[machine, how, done]: Parameters<MachineWaker['stop']>): void {
    void this.#stop(machine, how).then(done)
  }

  async #start({ id, host }: MachineEntry, deadlineMs: number): Promise<WakeResult> {
    const api = this.#hostOf(host?.id ?? '')
    if (api === undefined) return failure('PU03', 'no way to its host is known')
    using deadline = startDeadline('the start', deadlineMs, { clock: this.#clock })
    try {
      await api.start(id, { nonce: undefined }, deadline.signal)
      for (;;) {
        const { state, checks = [] } = await api.machine(id, deadline.signal)
        if (state === 'started' && checks.every(isPassing)) return { kind: 'ready' }
        const isHopeless = !['created', 'starting', 'started', 'restarting'].includes(state)
        if (isHopeless) return failure('PM08', `it is ${state}`)
        await this.#clock.sleep(LOOK_MS, deadline.signal)
      }
    } catch (error) {
      if (deadline.signal.aborted) return failure('PM03', 'no answer in time')
      return failure(codeOf(error), error instanceof Error ? error.message : String(error))
    }
  }

  async #stop({ id, host }: MachineEntry, how: 'stop' | 'suspend'): Promise<StopResult> {
    const api = this.#hostOf(host?.id ?? '')
    if (api === undefined) return { kind: 'failed', reason: 'no way to its host is known' }
    using deadline = startDeadline('the stop', STOP_MS_MAX, { clock: this.#clock })
    const nothing = { nonce: undefined, signal: undefined, timeoutMs: undefined }
    try {
      if (how === 'suspend') {
        try {
          await api.suspend(id, nothing, deadline.signal)
          return { kind: 'stopped' }
        } catch (error) {
          if (httpStatusOf(error) !== 412) throw error // cannot be suspended: it is stopped instead
        }
      }
      await api.stop(id, nothing, deadline.signal)
      return { kind: 'stopped' }
    } catch (error) {
      return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
    }
  }
}

const failure = (code: WakeErrorCode, reason: string): WakeResult => ({
  kind: 'failed',
  code,
  reason,
})

/** Only service checks gate: their names begin so (Machines API). */
const SERVICE_CHECK = 'servicecheck-'

function isPassing(check: unknown): boolean {
  const { name, status } = check as { readonly name?: unknown; readonly status?: unknown }
  return typeof name !== 'string' || !name.startsWith(SERVICE_CHECK) || status === 'passing'
}

const UNREACHABLE = ['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']

function codeOf(error: unknown): WakeErrorCode {
  if (UNREACHABLE.includes(errorCode(error) ?? '')) return 'PU03'
  const status = httpStatusOf(error)
  if (status === 409 || status === 412) return 'PM07'
  return status < 500 ? 'PM01' : 'PM02'
}
