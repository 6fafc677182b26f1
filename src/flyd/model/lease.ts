/** As the calls for leases of the API show it. */
export interface LeaseJson {
  readonly nonce: string
  /** Unix seconds. */
  readonly expires_at: number
  readonly owner: string
  readonly description: string
  readonly version: string
}
