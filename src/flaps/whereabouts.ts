/** Where a machine or volume is, as the local rows have it. */
export interface Whereabouts {
  readonly id: string
  readonly appId: string
  readonly hostId: string
}
