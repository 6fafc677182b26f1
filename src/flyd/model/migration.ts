/** A machine on its way: on the host that it leaves (`out`), or on the one where it arrives (`in`). */
export interface Migration {
  readonly side: 'out' | 'in'
  /** `held`: as far as this host goes by itself; what is next is for who moves the machine to say. */
  readonly phase: 'moving' | 'held' | 'leaving'
  /** It ran, or was on its way there, when the migration began. */
  readonly isToRun: boolean
  /** Of one that leaves: the host that was, or is to be, asked to take it. */
  readonly to?: { readonly hostId: string; readonly hasArrived: boolean } | undefined
}
