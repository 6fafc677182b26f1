import type { MachineSeen } from './machine-seen.ts'
import type { VolumeSeen } from './volume-seen.ts'

/**
 * What others of this process read of the machines and volumes: rows for corrosion, bids, checks. From
 * memory, at once. What it shows is in the log already: a crash takes nothing of it back.
 */
export interface MachineView {
  /** All, those destroyed but still remembered too. */
  machines(): Iterable<MachineSeen>
  /** Undefined: never here, or forgotten. */
  machine(id: string): MachineSeen | undefined
  volumes(): Iterable<VolumeSeen>
  volume(id: string): VolumeSeen | undefined
  /** Machines of an app that live here: all but those destroyed or migrated. */
  countOfApp(appId: string): number

  /**
   * Called after each change that is in the log, in order, with what is there now. Must not throw; what
   * takes time belongs in a queue of the listener.
   */
  onChange(listener: (change: Change) => void): Disposable
}

export type Change =
  | { readonly kind: 'machine'; readonly id: string; readonly machine: MachineSeen }
  | { readonly kind: 'volume'; readonly id: string; readonly volume: VolumeSeen }
  /** Remembered no more: its row goes. */
  | { readonly kind: 'machine_forgotten' | 'volume_forgotten'; readonly id: string }
