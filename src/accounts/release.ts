export type ReleaseStatus = 'pending' | 'running' | 'complete' | 'failed' | 'interrupted'

/** What was deployed, and how that went. */
export interface Release {
  readonly id: string
  /** Of the app, from 1. */
  readonly version: number
  readonly status: ReleaseStatus
  readonly strategy: string
  readonly image: string
  /** The app's configuration, as it was given. */
  readonly definition: unknown
  /** Why it failed or was interrupted; empty otherwise. */
  readonly error: string
  readonly createdBy: string
  /** For people to read: the name of the token that it was, while its organisation has it. */
  readonly createdByName?: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}
