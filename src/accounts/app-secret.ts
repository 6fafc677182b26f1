import type { SecretKeyType } from './secret-keys/key-type.ts'

export interface AppSecrets {
  /** Grows with every change; 0: never set. */
  readonly version: number
  readonly secrets: readonly SecretDigest[]
}

export interface SecretDigest {
  readonly name: string
  /** 16 hex digits. Keyed by app, so that equal values of two apps do not show. */
  readonly digest: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

/** A key that the platform uses for an app, and shows to nobody. */
export interface SecretKey {
  readonly name: string
  readonly type: SecretKeyType
  /** Undefined: nothing of this type is public. */
  readonly publicKey: Uint8Array | undefined
  readonly createdAtMs: number
  readonly updatedAtMs: number
}
