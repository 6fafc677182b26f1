/**
 * What an app asks for with fly-replay: that this request be sent to another machine. Times in milliseconds.
 * At least one of the fields that name a target is there.
 */
export interface ReplayRequest {
  /** Codes and aliases in order of preference. Empty: any. */
  readonly regions: readonly string[]
  /** This machine and no other. */
  readonly machine: string | undefined
  /** This machine, or any. */
  readonly preferredMachine: string | undefined
  /** By name. Undefined: the app that asks. */
  readonly app: string | undefined
  /** Handed to the target in fly-replay-src. */
  readonly state: string | undefined
  /** Any machine but the one that asks. */
  readonly isElsewhere: boolean
  readonly timeoutMs: number | undefined
  /** Where the request goes when no connection to any target was made. */
  readonly fallback: 'force_self' | 'prefer_self' | undefined
  readonly transform: ReplayTransform | undefined
  readonly cache: ReplayCacheOrder | undefined
}

/** Only in the JSON form. */
export interface ReplayTransform {
  /** Path and query instead of the client's. */
  readonly path: string | undefined
  /** Lower case. */
  readonly deleteHeaders: readonly string[]
  /** Names in lower case. */
  readonly setHeaders: readonly { readonly name: string; readonly value: string }[]
}

/** That the next requests below a path go to the same target without being asked. */
export type ReplayCacheOrder =
  | {
      readonly kind: 'keep'
      /** Undefined: the host of the request. */
      readonly host: string | undefined
      readonly pathPrefix: string
      readonly ttlMs: number
      readonly allowBypass: boolean
    }
  | { readonly kind: 'invalidate' }

/** The response header that asks for a replay, and the content type of the JSON form. */
export const REPLAY_HEADER = 'fly-replay'
export const REPLAY_CONTENT_TYPE = 'application/vnd.fly.replay+json'

export const hasTarget = (request: ReplayRequest): boolean =>
  request.regions.length > 0 ||
  request.machine !== undefined ||
  request.preferredMachine !== undefined ||
  request.app !== undefined ||
  request.isElsewhere
