import { type Clock, startDeadline } from '#base'
import { machineNotFound, refuse } from '../errors.ts'
import type { WaitOptions, WaitResult } from '../host.ts'
import type { MachineState } from '../model/machine-state.ts'
import { isGone } from '../model/machine-state.ts'
import type { MachineRecord } from './machine-record.ts'

/** States that do not change by themselves. */
const settled: readonly MachineState[] = ['started', 'stopped', 'suspended', 'failed', 'destroyed']

/** Those who wait for a state of a machine. */
export class Waits {
  readonly #clock: Clock
  readonly #waiters = new Map<string, Set<() => void>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many are held open. */
  get size(): number {
    let size = 0
    for (const waiters of this.#waiters.values()) size += waiters.size
    return size
  }

  /** The machine has changed. */
  tell(id: string): void {
    for (const look of [...(this.#waiters.get(id) ?? [])]) look()
  }

  /** @throws FlydError flyd.deadline_exceeded, flyd.conflict, flyd.not_found; the signal's reason */
  async until(
    id: string,
    record: () => MachineRecord | undefined,
    options: WaitOptions,
    signal: AbortSignal,
  ): Promise<WaitResult> {
    signal.throwIfAborted()
    const clock = this.#clock
    using deadline = startDeadline('wait', options.timeoutMs, { signal, clock })
    const { promise, resolve, reject } = Promise.withResolvers<WaitResult>()
    const look = () => {
      try {
        const present = record()
        if (present === undefined) throw machineNotFound()
        const reached = reachedBy(present, options)
        if (reached !== undefined) resolve(reached)
      } catch (error) {
        reject(error)
      }
    }
    const onAbort = () => reject(signal.aborted ? signal.reason : late(record(), options))
    deadline.signal.addEventListener('abort', onAbort, { once: true })
    this.#add(id, look)
    try {
      look()
      return await promise
    } finally {
      this.#remove(id, look)
      deadline.signal.removeEventListener('abort', onAbort)
    }
  }

  #add(id: string, look: () => void): void {
    const waiters = this.#waiters.get(id) ?? new Set()
    waiters.add(look)
    this.#waiters.set(id, waiters)
  }

  #remove(id: string, look: () => void): void {
    const waiters = this.#waiters.get(id)
    waiters?.delete(look)
    if (waiters?.size === 0) this.#waiters.delete(id)
  }
}

function late(record: MachineRecord | undefined, { states }: WaitOptions) {
  if (record === undefined) return machineNotFound()
  return refuse(
    'flyd.deadline_exceeded',
    `deadline_exceeded: machine failed to reach desired state, ${states.join(', ')}, currently ${record.state}`,
  )
}

function reachedBy(record: MachineRecord, options: WaitOptions): WaitResult | undefined {
  const { states, version, fromEventId } = options
  if (version !== undefined && version !== record.version) {
    if (record.replaced.includes(version)) {
      throw refuse('flyd.conflict', `aborted: machine version ${version} is currently replaced`)
    }
    return undefined
  }
  const [newest] = record.events
  if (newest === undefined) return undefined
  const isWanted = states.includes(record.state)
  const isReached = isWanted || (states.includes('settled') && settled.includes(record.state))
  if (!isReached && isGone(record)) throw machineNotFound()
  if (fromEventId !== undefined && newest.id <= fromEventId) return undefined
  return isReached
    ? { state: record.state, version: record.version, eventId: newest.id }
    : undefined
}
