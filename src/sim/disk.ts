import type { Random } from '#base'
import { DiskImage } from './disk-image.ts'
import { CrashSignal, SystemFault } from './errors.ts'
import type { CrashKind, Incarnation, Kernel } from './kernel.ts'
import { NOBODY, Trace } from './timeline.ts'

/**
 * The disk of a node, as its code sees it. Every call begins with the name that the caller gives
 * to the operation (`wal.append`), so that a test fails, or dies in, exactly that one. Effects
 * are immediate; async-disk.ts takes time for them. Paths are relative, with forward slashes.
 *
 * @throws SystemFault ENOENT, ENOSPC, or what the test injected (EIO). A failed call changed
 * nothing, but for a failed `fsync`: see disk-image.ts, which has the whole model.
 */
export interface Disk {
  /** Creates the file when it does not exist; a gap is filled with zeros. */
  write(operation: string, path: string, offset: number, bytes: Uint8Array): void
  append(operation: string, path: string, bytes: Uint8Array): void
  truncate(operation: string, path: string, sizeBytes: number): void
  /** Replaces `to` when it exists. */
  rename(operation: string, from: string, to: string): void
  unlink(operation: string, path: string): void
  /** Makes contents durable, but not the file's name. */
  fsync(operation: string, path: string): void
  /** Makes names durable; '' is the root of the disk. */
  fsyncDirectory(operation: string, directory: string): void
  /** @returns a copy. */
  read(operation: string, path: string): Uint8Array
  /** @returns bytes, undefined when there is no such file. */
  size(operation: string, path: string): number | undefined
  /** Names of the files right in `directory`, sorted. */
  list(operation: string, directory: string): string[]
}

/** Makes calls fail. */
export interface DiskFailure {
  /** The operation's name; every one when left out. */
  readonly operation?: string
  readonly code: 'EIO' | 'ENOSPC' | 'EROFS'
  /** So many matching calls succeed first. @default 0 */
  readonly after?: number
  /** So many fail. @default 1 */
  readonly times?: number
}

/** Kills the node inside a call that changes the disk. */
export interface DiskCrashPoint {
  /** The operation's name; every change counts when left out. */
  readonly operation?: string
  /** Which of the matching calls, from 1, counted from now. */
  readonly nth: number
  /** Whether the call still had its effect. */
  readonly when: 'before' | 'after'
  /** @default 'power' */
  readonly kind?: CrashKind
}

const killedBefore: DiskCrashPoint = { nth: 1, when: 'before' }
const killedAfter: DiskCrashPoint = { nth: 1, when: 'after' }

interface Countdown<T> {
  readonly spec: T
  seen: number
}

/** The disk hardware of one node: it outlives the node's processes, and a scenario breaks it. */
export class SimDisk {
  readonly image = new DiskImage()
  /** Writes beyond it fail with ENOSPC. */
  capacityBytes = Number.POSITIVE_INFINITY
  /** How many calls fail with EIO, at random. */
  errorRatio = 0
  /** How many changing calls end the node, at random: half of them before their effect. */
  crashRatio = 0
  /** Told after such a death; brings the node back. */
  afterRandomCrash: () => void = () => undefined
  /** Calls so far that changed something: the range of a crash point's `nth`. */
  changeCount = 0
  readonly #kernel: Kernel
  readonly #nodeIndex: number
  readonly #crash: (kind: CrashKind) => void
  readonly #faultDice: Random
  readonly #crashDice: Random
  #failures: Countdown<DiskFailure>[] = []
  #crashPoints: Countdown<DiskCrashPoint>[] = []

  /** @param crash ends the node's present life. */
  constructor(kernel: Kernel, nodeId: string, nodeIndex: number, crash: (kind: CrashKind) => void) {
    this.#kernel = kernel
    this.#nodeIndex = nodeIndex
    this.#crash = crash
    this.#faultDice = kernel.stream('disk-faults', nodeId)
    this.#crashDice = kernel.stream('disk-crash', nodeId)
  }

  failNext(failure: DiskFailure): void {
    this.#failures.push({ spec: failure, seen: 0 })
  }

  crashAt(point: DiskCrashPoint): void {
    this.#crashPoints.push({ spec: point, seen: 0 })
  }

  /** Forgets injected failures, crash points, the error ratio and the capacity. */
  heal(): void {
    this.#failures = []
    this.#crashPoints = []
    this.errorRatio = 0
    this.crashRatio = 0
    this.capacityBytes = Number.POSITIVE_INFINITY
  }

  /** The machine lost its power. */
  losePower(): void {
    this.image.crash(this.#crashDice)
  }

  /** Runs one changing call, with whatever fault is due in it. */
  change(owner: Incarnation, operation: string, path: string, effect: () => void): void {
    this.changeCount += 1
    this.#kernel.record(Trace.disk, this.#nodeIndex, NOBODY, operation)
    const point = this.#dueCrash(operation) ?? this.#randomCrash()
    if (point?.when === 'before') this.#die(owner, operation, point)
    this.throwIfFailing(operation, path)
    effect()
    if (point !== undefined) this.#die(owner, operation, point)
  }

  throwIfFailing(operation: string, path: string): void {
    const code = this.#dueFailure(operation)
    if (code === undefined) return
    this.#kernel.record(Trace.diskFault, this.#nodeIndex, NOBODY, `${code} in ${operation} ${path}`)
    throw new SystemFault(code, operation, path)
  }

  #die(owner: Incarnation, operation: string, point: DiskCrashPoint): never {
    const { when, kind = 'power' } = point
    const isRandom = point === killedBefore || point === killedAfter
    const { nodeId, nodeIndex } = owner
    this.#kernel.record(Trace.diskFault, nodeIndex, NOBODY, `killed ${when} ${operation}`)
    this.#crash(kind)
    if (isRandom) this.afterRandomCrash()
    throw new CrashSignal(nodeId)
  }

  #dueCrash(operation: string): DiskCrashPoint | undefined {
    for (const point of this.#crashPoints) {
      if ((point.spec.operation ?? operation) !== operation) continue
      point.seen += 1
      if (point.seen < point.spec.nth) continue
      this.#crashPoints = this.#crashPoints.filter((other) => other !== point)
      return point.spec
    }
    return undefined
  }

  #randomCrash(): DiskCrashPoint | undefined {
    if (this.crashRatio === 0 || this.#faultDice.next() >= this.crashRatio) return undefined
    return this.#faultDice.int(2) === 0 ? killedBefore : killedAfter
  }

  #dueFailure(operation: string): string | undefined {
    for (const failure of this.#failures) {
      const { code, after = 0, times = 1 } = failure.spec
      if ((failure.spec.operation ?? operation) !== operation) continue
      failure.seen += 1
      if (failure.seen <= after) continue
      if (failure.seen >= after + times) {
        this.#failures = this.#failures.filter((other) => other !== failure)
      }
      return code
    }
    return this.errorRatio > 0 && this.#faultDice.next() < this.errorRatio ? 'EIO' : undefined
  }
}

/** A `SimDisk` through the eyes of one incarnation: after its death every call throws. */
export class NodeDisk implements Disk {
  readonly #disk: SimDisk
  readonly #owner: Incarnation

  constructor(disk: SimDisk, owner: Incarnation) {
    this.#disk = disk
    this.#owner = owner
  }

  write(operation: string, path: string, offset: number, bytes: Uint8Array): void {
    this.#change(operation, path, () => {
      this.#reserve(operation, path, offset + bytes.length)
      this.#disk.image.write(path, offset, bytes)
    })
  }

  append(operation: string, path: string, bytes: Uint8Array): void {
    this.#change(operation, path, () => {
      const offset = this.#disk.image.size(path) ?? 0
      this.#reserve(operation, path, offset + bytes.length)
      this.#disk.image.write(path, offset, bytes)
    })
  }

  truncate(operation: string, path: string, sizeBytes: number): void {
    this.#change(operation, path, () => this.#disk.image.truncate(operation, path, sizeBytes))
  }

  rename(operation: string, from: string, to: string): void {
    this.#change(operation, from, () => this.#disk.image.rename(operation, from, to))
  }

  unlink(operation: string, path: string): void {
    this.#change(operation, path, () => this.#disk.image.unlink(operation, path))
  }

  fsync(operation: string, path: string): void {
    try {
      this.#change(operation, path, () => this.#disk.image.fsync(operation, path))
    } catch (error) {
      const isFailed = error instanceof SystemFault && error.code !== 'ENOENT'
      if (isFailed) this.#disk.image.dropPending(operation, path)
      throw error
    }
  }

  fsyncDirectory(operation: string, directory: string): void {
    this.#change(operation, directory, () => this.#disk.image.fsyncDirectory(directory))
  }

  read(operation: string, path: string): Uint8Array {
    this.#look(operation, path)
    return this.#disk.image.read(operation, path)
  }

  size(operation: string, path: string): number | undefined {
    this.#look(operation, path)
    return this.#disk.image.size(path)
  }

  list(operation: string, directory: string): string[] {
    this.#look(operation, directory)
    return this.#disk.image.list(directory)
  }

  #change(operation: string, path: string, effect: () => void): void {
    if (!this.#owner.isAlive) throw new CrashSignal(this.#owner.nodeId)
    this.#disk.change(this.#owner, operation, path, effect)
  }

  #look(operation: string, path: string): void {
    if (!this.#owner.isAlive) throw new CrashSignal(this.#owner.nodeId)
    this.#disk.throwIfFailing(operation, path)
  }

  #reserve(operation: string, path: string, end: number): void {
    const { image, capacityBytes } = this.#disk
    if (capacityBytes === Number.POSITIVE_INFINITY) return
    const growth = Math.max(0, end - (image.size(path) ?? 0))
    if (image.usedBytes + growth > capacityBytes) throw new SystemFault('ENOSPC', operation, path)
  }
}
