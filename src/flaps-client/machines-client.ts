import type { ExecResult, Lease, Machine, MachineConfig, MachineEvent } from './answers.ts'
import type { Call } from './call.ts'
import { ApiError } from './errors.ts'
import { ResourceClient } from './resource-client.ts'

export interface LaunchInput {
  readonly config: MachineConfig
  readonly region?: string
  /** With a name, a create may be repeated safely. */
  readonly name?: string
  readonly skip_launch?: boolean
  readonly skip_service_registration?: boolean
  readonly skip_secrets?: boolean
  readonly min_secrets_version?: number
  /** Seconds that the new machine is leased for; the answer has the nonce. */
  readonly lease_ttl?: number
}

export interface UpdateInput extends Omit<LaunchInput, 'region' | 'name'> {
  /** The update happens only to this version. */
  readonly current_version?: string
}

/** One wait of the API ends after this at the latest, reached or not. */
const WAIT_S_MAX = 60
const ANSWER_MS = 10_000

/** The machines of one app. */
export class MachinesClient extends ResourceClient {
  list(call?: Call): Promise<readonly Machine[]> {
    return this.caller.call('GET', this.path, call)
  }

  get(id: string, call?: Call): Promise<Machine> {
    return this.caller.call('GET', this.of(id), call)
  }

  create(input: LaunchInput, call?: Call): Promise<Machine> {
    return this.caller.call('POST', this.path, { ...call, body: input })
  }

  update(id: string, input: UpdateInput, call?: Call): Promise<Machine> {
    return this.caller.call('POST', this.of(id), { ...call, body: input })
  }

  async start(id: string, call?: Call): Promise<{ previous_state: string }> {
    return await this.caller.call('POST', `${this.of(id)}/start`, call)
  }

  /** @param options `signal` as `SIGTERM`; `timeout` in seconds. Absent: as the machine's configuration says. */
  async stop(
    id: string,
    options: { signal?: string; timeout?: number } = {},
    call?: Call,
  ): Promise<void> {
    await this.caller.call('POST', `${this.of(id)}/stop`, { ...call, body: options })
  }

  async suspend(id: string, call?: Call): Promise<void> {
    await this.caller.call('POST', `${this.of(id)}/suspend`, call)
  }

  async restart(
    id: string,
    options: { force_stop?: boolean; timeout?: string; signal?: string } = {},
    call?: Call,
  ): Promise<void> {
    await this.caller.call('POST', `${this.of(id)}/restart`, { ...call, query: options })
  }

  async signal(id: string, signal: string, call?: Call): Promise<void> {
    await this.caller.call('POST', `${this.of(id)}/signal`, { ...call, body: { signal } })
  }

  /** A machine that is gone is no error. */
  async destroy(id: string, options: { force?: boolean } = {}, call?: Call): Promise<void> {
    try {
      await this.caller.call('DELETE', this.of(id), { ...call, query: options })
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'api.not_found') throw error
    }
  }

  async setCordoned(id: string, isCordoned: boolean, call?: Call): Promise<void> {
    const verb = isCordoned ? 'cordon' : 'uncordon'
    await this.caller.call('POST', `${this.of(id)}/${verb}`, call)
  }

  /**
   * Waits for one of the states, over as many requests as it takes.
   *
   * @throws ApiError api.not_reached when time is up; api.not_found: there is no such machine any more
   */
  async wait(
    id: string,
    options: { states: readonly string[]; version?: string; timeoutMs: number },
    call?: Call,
  ): Promise<void> {
    const { states, version, timeoutMs } = options
    const { clock } = this.caller
    const endMs = clock.monotonicMs() + timeoutMs
    for (;;) {
      const leftMs = endMs - clock.monotonicMs()
      const timeout = Math.max(1, Math.min(WAIT_S_MAX, Math.ceil(leftMs / 1000)))
      try {
        const query = { state: states, timeout, ...(version === undefined ? {} : { version }) }
        const deadlineMs = timeout * 1000 + ANSWER_MS
        return await this.caller.call('GET', `${this.of(id)}/wait`, {
          ...call,
          query,
          deadlineMs,
        })
      } catch (error) {
        const isNotYet = error instanceof ApiError && error.code === 'api.not_reached'
        if (!isNotYet || endMs <= clock.monotonicMs()) throw error
      }
    }
  }

  /** With the nonce of the lease, prolongs it. @throws ApiError api.conflict: somebody else holds it */
  async lease(id: string, ttlS: number, call?: Call): Promise<Lease> {
    const query = { ttl: ttlS }
    const answer = await this.caller.call<{ data: Lease }>('POST', `${this.of(id)}/lease`, {
      ...call,
      query,
    })
    return answer.data
  }

  /** Undefined: nobody holds one. */
  async currentLease(id: string, call?: Call): Promise<Lease | undefined> {
    try {
      return (await this.caller.call<{ data: Lease }>('GET', `${this.of(id)}/lease`, call)).data
    } catch (error) {
      if (error instanceof ApiError && error.code === 'api.not_found') return undefined
      throw error
    }
  }

  /** A lease that has run out, or whose machine is gone, is no error. */
  async release(id: string, nonce: string, call?: Call): Promise<void> {
    try {
      await this.caller.call('DELETE', `${this.of(id)}/lease`, { ...call, nonce })
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'api.not_found') throw error
    }
  }

  exec(
    id: string,
    options: { command: readonly string[]; stdin?: string; timeoutS?: number },
    call?: Call,
  ): Promise<ExecResult> {
    const { command, stdin, timeoutS = 30 } = options
    const body = { command, timeout: timeoutS, ...(stdin === undefined ? {} : { stdin }) }
    const deadlineMs = timeoutS * 1000 + ANSWER_MS
    return this.caller.call('POST', `${this.of(id)}/exec`, { ...call, body, deadlineMs })
  }

  processes(id: string, call?: Call): Promise<readonly Record<string, unknown>[]> {
    return this.caller.call('GET', `${this.of(id)}/ps`, call)
  }

  events(id: string, limit: number, call?: Call): Promise<readonly MachineEvent[]> {
    return this.caller.call('GET', `${this.of(id)}/events`, { ...call, query: { limit } })
  }

  async setMetadata(id: string, key: string, value: string, call?: Call): Promise<void> {
    const path = `${this.of(id)}/metadata/${encodeURIComponent(key)}`
    await this.caller.call('POST', path, { ...call, body: { value } })
  }
}
