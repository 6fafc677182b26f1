import type { Caller } from './call.ts'

/** The things of one kind that an app or an organisation has. Every method of those that extend it throws ApiError. */
export abstract class ResourceClient {
  protected readonly caller: Caller
  protected readonly path: string

  constructor(caller: Caller, path: string) {
    this.caller = caller
    this.path = path
  }

  protected of(id: string): string {
    return `${this.path}/${encodeURIComponent(id)}`
  }
}
