export interface NewJoinToken {
  readonly roles: readonly string[]
  readonly region: string
  /** The name that the host must have. @default any that is free */
  readonly host?: string | undefined
  /** The address that it must have. @default the one that it comes from */
  readonly ip?: string | undefined
  /** It takes the name of a host that is gone. */
  readonly replaces?: boolean
  /** @default 1 */
  readonly usesMax?: number
  readonly ttlMs: number
}

export interface JoinToken {
  readonly id: string
  readonly roles: readonly ('worker' | 'edge')[]
  readonly region: string
  readonly host: string | undefined
  readonly ip: string | undefined
  readonly replaces: boolean
  readonly usesMax: number
  readonly uses: number
  readonly createdBy: string
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly revokedAtMs: number | undefined
}
