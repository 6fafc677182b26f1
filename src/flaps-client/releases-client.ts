import type { AppRelease, ReleaseStatus } from './answers.ts'
import type { Call } from './call.ts'
import { ApiError } from './errors.ts'
import { ResourceClient } from './resource-client.ts'

/** What was deployed of one app. */
export class ReleasesClient extends ResourceClient {
  /** The newest first. */
  async list(limit: number, call?: Call): Promise<readonly AppRelease[]> {
    const options = { ...call, query: { limit } }
    return (await this.caller.call<{ releases: AppRelease[] }>('GET', this.path, options)).releases
  }

  /** The newest that is complete, with its definition. */
  current(call?: Call): Promise<AppRelease | undefined> {
    return this.#find('current', call)
  }

  /** The newest, whatever became of it, with its definition. */
  latest(call?: Call): Promise<AppRelease | undefined> {
    return this.#find('latest', call)
  }

  create(
    release: { image: string; strategy: string; definition: unknown },
    call?: Call,
  ): Promise<AppRelease> {
    return this.caller.call('POST', this.path, { ...call, body: release })
  }

  update(
    id: string,
    /** `ttl`: seconds within which more is told, while it is under way. */
    change: { status: ReleaseStatus; failure?: string; ttl?: number },
    call?: Call,
  ): Promise<AppRelease> {
    return this.caller.call('PATCH', this.of(id), { ...call, body: change })
  }

  async #find(which: string, call?: Call): Promise<AppRelease | undefined> {
    try {
      return await this.caller.call<AppRelease>('GET', this.of(which), call)
    } catch (error) {
      if (error instanceof ApiError && error.code === 'api.not_found') return undefined
      throw error
    }
  }
}
