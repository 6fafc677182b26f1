import type { Duplex } from 'node:stream'
import type { MachineId } from '#base'
import type { GuestSpec } from './guest-spec.ts'
import type { CpuBandwidth } from './quota.ts'

export type RuntimeKind = 'firecracker' | 'qemu' | 'runc'

export interface RuntimeCall {
  readonly signal?: AbortSignal | undefined
  /** For the whole call. Each runtime has its own default, as slow as it may be. */
  readonly deadlineMs?: number
}

/**
 * One way to run machines on this host. Guests do not belong to the process that booted them: they live
 * on when it dies, and the next one adopts them. All that is known of a guest is in its folder
 * (guest-folder.ts) and in the kernel.
 *
 * A runtime answers for one state folder, and one process at a time uses that.
 */
export interface Runtime {
  readonly kind: RuntimeKind

  /**
   * Boots to the point where init waits for its configuration. A boot that fails leaves nothing behind.
   *
   * @throws GuestError guest.exists, guest.boot_failed; BaseError base.deadline_exceeded.
   */
  boot(spec: GuestSpec, call?: RuntimeCall): Promise<Guest>

  /** Takes over a guest that runs; undefined when it is not there or runs no more. */
  adopt(id: MachineId, call?: RuntimeCall): Promise<Guest | undefined>

  /**
   * Continues a suspended guest where it stopped. Its clock still has the time of its suspension.
   *
   * @throws GuestError guest.not_suspended; guest.resume_failed: boot it anew, the disks are consistent
   *   as after a power cut.
   */
  resume(id: MachineId, call?: RuntimeCall): Promise<Guest>

  /** Every guest of which something is left: running, suspended, or the remains of a crash. */
  list(): Promise<GuestListing[]>

  /** Kills the guest if it runs and removes all that this runtime made of it. May be repeated. */
  remove(id: MachineId, call?: RuntimeCall): Promise<void>
}

export interface GuestListing {
  readonly id: MachineId
  readonly state: GuestState
}

export type GuestState = 'running' | 'suspended' | 'ended'

/** Disposing lets go of it: no more is told of it, and it runs on. */
export interface Guest extends Disposable {
  readonly spec: GuestSpec
  /** Resolves when the guest runs no more, whoever ended it. Never rejects. */
  readonly ended: Promise<GuestEnd>

  /**
   * What init must call the disk of that serial. Without this the serial itself, as GuestSpec has it.
   *
   * @throws GuestError guest.spec_bad: no such disk
   */
  deviceOf?(serial: string): string

  /** A new byte stream to init, to pass to `connectAgent`. The one before ends. */
  openChannel(call?: RuntimeCall): Promise<Duplex>

  /** Ends it at once, without a word to init. Resolves when it is gone. */
  kill(call?: RuntimeCall): Promise<void>

  /**
   * Stops it in mid-instruction, with memory and connections kept for `resume`. Its agent session ends.
   * A guest that cannot be suspended runs on. @throws GuestError guest.suspend_failed.
   */
  suspend(call?: RuntimeCall): Promise<void>

  /** From now on. It boots with `burstOf`; who keeps its `CpuBalance` tells when that is over. */
  setBandwidth(bandwidth: CpuBandwidth): void

  /** What of the memory that it was booted with it may use now. */
  memory(call?: RuntimeCall): Promise<GuestMemory>

  /**
   * Lets it have less, or more again, while it runs; the next boot gives it all.
   *
   * @returns what it may use now, MiB: more than was asked for when a virtual machine gives no more
   * @throws GuestError guest.memory_bad; guest.memory_held: a container holds more; guest.ended
   */
  limitMemory(limitMib: number, call?: RuntimeCall): Promise<number>

  /**
   * Takes what it does not need for the host; it may use it again when it does.
   *
   * @returns how much it gave, MiB. @throws GuestError guest.ended
   */
  reclaimMemory(amountMib: number, call?: RuntimeCall): Promise<number>

  /** What the host sees of it; what the machine sees of itself comes from the agent. */
  usage(call?: RuntimeCall): Promise<GuestUsage>
}

export interface GuestMemory {
  readonly limitMib: number
  /** What of it nothing needs now. Undefined: only the kernel of the machine knows; ask the agent. */
  readonly availableMib: number | undefined
}

/** A machine that shut down in order has had init's report before; this is for all other endings. */
export interface GuestEnd {
  readonly cause: 'shutdown' | 'killed' | 'crashed' | 'suspended'
  /** What the runtime last said, for a crash. */
  readonly detail?: string
  /** The kernel ended it because its memory limit was reached. */
  readonly isOutOfMemory: boolean
}

export interface GuestUsage {
  /** CPU time of everything that runs for the guest, in nanoseconds since its boot. */
  readonly cpuNs: bigint
  /** Of that, in programs and in the kernel; counted less exactly than their sum. */
  readonly userNs: bigint
  readonly systemNs: bigint
  /** How long it was kept from running by its CPU quota, in nanoseconds. */
  readonly throttledNs: bigint
  /** Memory of the host that it holds, its own RAM included. */
  readonly memoryBytes: number
  readonly processes: number
  /**
   * Processes that the host's kernel ended because the guest's memory limit was reached. In a container
   * that is how an entrypoint that died of it is told; the kernel of a virtual machine tells init itself.
   */
  readonly outOfMemoryKills: number
}
