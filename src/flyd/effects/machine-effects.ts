import type { Duplex } from 'node:stream'
import type { Figure } from '#observe'
import type { ConnectOptions, ExecOptions, ExecResult, MachineMemory } from '../host.ts'
import type { GuestExit } from '../model/guest-exit.ts'
import type { ImageRefJson } from '../model/image-ref.ts'
import type { MachineNetwork, MachineSubject } from '../model/machine-subject.ts'
import type { VolumeSubject } from '../model/volume-subject.ts'

/**
 * The port through which state machines act on the world: images, disks, networks and guests of this host.
 *
 * Every act is idempotent. It may be repeated after it had its effect, by another process too, and then
 * changes nothing and answers the same; it may be called when only a part of an earlier call took place.
 * What an act makes is named after the machine's or volume's id, so that one which died half-way is found
 * again. An act ends soon after its signal aborts, with the signal's reason, and whatever it has done by
 * then is undone by the act that is its opposite.
 *
 * Errors: EffectError effect.fatal, when a repetition is pointless; anything else is tried again.
 */
export interface MachineEffects extends GuestEffects, VolumeEffects {
  /** Brings the image to the host and makes its base. Nothing to undo: the cache evicts it. */
  prepareImage(subject: MachineSubject, signal: AbortSignal): Promise<ImageRefJson>

  /** The machine's own writable root. With `keepRoot` and one that is there, that one. */
  makeRoot(subject: MachineSubject, keepRoot: boolean, signal: AbortSignal): Promise<void>
  removeRoot(id: string, signal: AbortSignal): Promise<void>

  /** Makes the devices of its mounts usable, formats those that are new, scratch and swap too. */
  attachVolumes(subject: MachineSubject, signal: AbortSignal): Promise<void>
  detachVolumes(id: string, signal: AbortSignal): Promise<void>

  /** A network namespace, device, address: the same address every time for the same id. */
  makeNetwork(subject: MachineSubject, signal: AbortSignal): Promise<MachineNetwork>
  /** With `keepAddress` the next `makeNetwork` gives the same one; without, it is anybody's. */
  removeNetwork(id: string, keepAddress: boolean, signal: AbortSignal): Promise<void>
}

export interface GuestEffects {
  /** To the point where init waits. A guest of this id that runs already is taken over as it is. */
  boot(subject: MachineSubject, signal: AbortSignal): Promise<void>
  /** Tells init what to run, and runs it. When it runs already, nothing. */
  startEntrypoint(subject: MachineSubject, signal: AbortSignal): Promise<void>

  /**
   * Signals the entrypoint and waits up to `timeoutMs` for the guest to end. Undefined: it has not, or
   * there is none. Repeated, it may signal again.
   */
  stopEntrypoint(
    id: string,
    options: { readonly signal: string; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<GuestExit | undefined>

  /**
   * Ends the guest, if it runs, and removes all that the runtime made of it, a suspended memory too. How
   * it ended, if this host knows: also when that was before this call.
   */
  removeGuest(id: string, signal: AbortSignal): Promise<GuestExit | undefined>

  /** Memory to disk; the guest then runs no more. One that is suspended stays so. */
  suspend(id: string, signal: AbortSignal): Promise<void>
  /** `cold`: what was suspended cannot be continued and is gone; boot it anew, with the root it has. */
  resume(subject: MachineSubject, signal: AbortSignal): Promise<'resumed' | 'cold'>

  /**
   * Takes over a guest that another process booted: from now on `onGuestEnd` tells its end. `ended` with
   * how, if that is known: it ended while nobody looked.
   */
  adopt(subject: MachineSubject, signal: AbortSignal): Promise<GuestPresence>
  /** Ids of machines of which anything is on this host: guest, root, network, attachment. */
  list(signal: AbortSignal): Promise<readonly string[]>

  /** Called once for each guest that ends while this process knows it, also by `removeGuest`. */
  onGuestEnd(listener: (id: string, exit: GuestExit) => void): Disposable

  /** By name, as `SIGTERM`, to the entrypoint. */
  signal(id: string, name: string, signal: AbortSignal): Promise<void>
  exec(id: string, options: ExecOptions, signal: AbortSignal): Promise<ExecResult>
  /** @throws FlydError flyd.state_bad: nothing listens there */
  connect(subject: MachineSubject, options: ConnectOptions, signal: AbortSignal): Promise<Duplex>
  processes(id: string, signal: AbortSignal): Promise<readonly Record<string, unknown>[]>
  /** @throws FlydError as of MachineHost; these two as well */
  memory(id: string, signal: AbortSignal): Promise<MachineMemory>
  /** What it says of its CPUs, memory, disks and network, without what names it. */
  stats(id: string, signal: AbortSignal): Promise<readonly Figure[]>
  limitMemory(id: string, limitMb: number, signal: AbortSignal): Promise<MachineMemory>
  reclaimMemory(id: string, amountMb: number, signal: AbortSignal): Promise<number>
}

export interface VolumeEffects {
  /** Device and, for ext4, file system; from a snapshot or another volume where it says so. */
  createVolume(volume: VolumeSubject, signal: AbortSignal): Promise<void>
  /** To `sizeGb` of the subject, its file system too. True: a running machine sees it after a restart. */
  extendVolume(volume: VolumeSubject, signal: AbortSignal): Promise<boolean>
  destroyVolume(id: string, signal: AbortSignal): Promise<void>
  /** What the volume holds at one instant, under an id of its own. Once made it stays as it is. */
  takeSnapshot(snapshotId: string, volumeId: string, signal: AbortSignal): Promise<TakenSnapshot>
  removeSnapshot(snapshotId: string, signal: AbortSignal): Promise<void>
}

export interface TakenSnapshot {
  /** Of the volume when it was taken. */
  readonly volumeBytes: number
  /** What it refers to of the pool, alone or with the volume. */
  readonly storedBytes: number
}

export type GuestPresence =
  | { readonly state: 'running' | 'suspended' | 'absent' }
  | { readonly state: 'ended'; readonly exit: GuestExit | undefined }
