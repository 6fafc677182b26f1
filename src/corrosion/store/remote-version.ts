/** A version of another actor, whole. */
export interface RemoteVersion {
  readonly site: number
  readonly version: number
  readonly lastSeq: number
  readonly ts: bigint
}
