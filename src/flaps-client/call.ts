import type { Clock } from '#base'

export interface Call {
  readonly query?: Readonly<
    Record<string, string | number | boolean | readonly string[] | undefined>
  >
  readonly body?: unknown
  /** Sent as they are, in place of `body`. */
  readonly bytes?: Buffer
  /** Of the machine's lease. */
  readonly nonce?: string | undefined
  /** For the call with all its tries. @default 60,000 */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal | undefined
}

/** Who makes the calls of a resource. */
export interface Caller {
  readonly clock: Clock
  /** @throws ApiError */
  call<T>(method: string, path: string, call?: Call): Promise<T>
}

/** Where the things of one owner are, such as the machines of an app. */
export const pathOf = (owner: 'apps' | 'orgs', name: string, kind: string): string =>
  `/v1/${owner}/${encodeURIComponent(name)}/${kind}`
