export interface AuditQuery {
  /** Calls that named it. */
  readonly organization?: string
  readonly app?: string
  readonly who?: string
  readonly operation?: string
  readonly sinceMs?: number
  /** The newest ones. @default 100, at most 1,000 */
  readonly limit?: number
}

export interface AuditEntry {
  readonly sequence: number
  readonly atMs: number
  readonly who: string
  readonly requestId: string
  readonly operation: string
  /** The input without its secrets. */
  readonly target: Readonly<Record<string, unknown>>
  /** `ok`, or the code of the error. */
  readonly result: string
}
