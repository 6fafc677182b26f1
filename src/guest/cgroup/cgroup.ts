/**
 * The control groups of one guest: everything that runs for it is in them, whoever its parent is now.
 * They have the same path in all trees, below one parent of this platform.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorCode, pollUntil } from '#base'
import { signalPid } from '#supervise'
import type { CpuBandwidth } from '../quota.ts'
import type { RuntimeCall } from '../runtime.ts'
import { type CgroupMounts, type Controller, cgroupMounts, controllers } from './cgroup-mounts.ts'

export interface CgroupLimits {
  readonly memoryBytes: number
  readonly pidsMax: number
  readonly cpu: CpuBandwidth
}

export interface CgroupSetting {
  /** Such as `memory.max`: the part before the dot is the controller. */
  readonly file: string
  readonly value: string
}

export interface CgroupUsage {
  readonly cpuNs: bigint
  /** Of that, in programs and in the kernel; the kernel counts them less exactly than their sum. */
  readonly userNs: bigint
  readonly systemNs: bigint
  readonly throttledNs: bigint
  readonly memoryBytes: number
  readonly processes: number
  /** Processes that the kernel ended because the memory limit was reached. */
  readonly outOfMemoryKills: number
}

const PARENT = 'godwit'
const END_MS = 10_000
const FREEZE_MS = 5_000
/** Of what version 1 counts programs' time in: USER_HZ is 100 everywhere. */
const TICK_NS = 10_000_000n

export class Cgroup {
  /** Below the root of each tree, as the OCI runtime specification takes it. */
  readonly path: string
  readonly #mounts: CgroupMounts

  constructor(name: string, mounts: CgroupMounts = cgroupMounts()) {
    this.path = `/${PARENT}/${name}`
    this.#mounts = mounts
  }

  /** The group that it is made in, the same in all trees. */
  get parent(): string {
    return PARENT
  }

  get version(): 1 | 2 {
    return this.#mounts.version
  }

  /** Where the files of a controller are. */
  folderOf(controller: Controller): string {
    const mounts = this.#mounts
    return join(mounts.version === 2 ? mounts.root : mounts.roots[controller], this.path)
  }

  /** Makes it, with its limits; one that is there gets them. Swap is not given to anybody. */
  create({ memoryBytes, pidsMax, cpu }: CgroupLimits): void {
    for (const folder of this.#folders()) mkdirSync(folder, { recursive: true })
    if (this.version === 2) {
      const parent = dirname(this.folderOf('memory'))
      for (const folder of [dirname(parent), parent]) {
        writeFileSync(join(folder, 'cgroup.subtree_control'), '+cpu +memory +pids')
      }
    }
    for (const { file, value } of this.settings({ memoryBytes, pidsMax, cpu })) {
      this.#write(controllerOf(file), file, value)
    }
    if (this.version === 2) this.#writeIfThere('memory', 'memory.swap.max', '0')
    else this.#writeIfThere('memory', 'memory.memsw.limit_in_bytes', String(memoryBytes))
  }

  /** The limits as this kernel's files take them, in the order in which they must be written. */
  settings({ memoryBytes, pidsMax, cpu }: CgroupLimits): readonly CgroupSetting[] {
    const memoryFile = this.version === 2 ? 'memory.max' : 'memory.limit_in_bytes'
    return [
      { file: memoryFile, value: String(memoryBytes) },
      { file: 'pids.max', value: String(pidsMax) },
      ...this.#bandwidth(cpu),
    ]
  }

  #bandwidth({ quotaUs, periodUs }: CpuBandwidth): readonly CgroupSetting[] {
    if (this.version === 2) return [{ file: 'cpu.max', value: `${quotaUs} ${periodUs}` }]
    return [
      { file: 'cpu.cfs_period_us', value: String(periodUs) },
      { file: 'cpu.cfs_quota_us', value: String(quotaUs) },
    ]
  }

  setBandwidth(bandwidth: CpuBandwidth): void {
    for (const { file, value } of this.#bandwidth(bandwidth)) {
      this.#write(controllerOf(file), file, value)
    }
  }

  /** Moves a process in, with all of its threads. What it starts later is in as well. */
  add(pid: number): void {
    for (const folder of this.#folders()) writeFileSync(join(folder, 'cgroup.procs'), String(pid))
  }

  /** Empty when there is no such group. */
  processes(): number[] {
    const text = this.#read('pids', 'cgroup.procs') ?? ''
    return text.split('\n').filter(Boolean).map(Number)
  }

  usage(): CgroupUsage {
    return this.version === 2 ? this.#usage2() : this.#usage1()
  }

  /** Resolves when no process of it runs any more. */
  async freeze(call: RuntimeCall = {}): Promise<void> {
    if (this.version === 2) this.#write('freezer', 'cgroup.freeze', '1')
    else this.#write('freezer', 'freezer.state', 'FROZEN')
    await pollUntil('the processes of the guest to stand still', () => this.isFrozen(), {
      ...{ deadlineMs: FREEZE_MS, intervalMs: 2 },
      ...call,
    })
  }

  thaw(): void {
    if (this.version === 2) this.#writeIfThere('freezer', 'cgroup.freeze', '0')
    else this.#writeIfThere('freezer', 'freezer.state', 'THAWED')
  }

  isFrozen(): boolean {
    if (this.version === 1) return this.#read('freezer', 'freezer.state')?.trim() === 'FROZEN'
    return numberIn(this.#read('freezer', 'cgroup.events'), 'frozen') === 1
  }

  /** Resolves when nothing runs in it any more. */
  async killAll(call: RuntimeCall = {}): Promise<void> {
    await pollUntil('the processes of the guest to end', () => this.#isEmptied(), {
      ...{ deadlineMs: END_MS, intervalMs: 2 },
      ...call,
    })
  }

  /** Kills what runs in it and removes it. May be repeated. */
  async remove(call: RuntimeCall = {}): Promise<void> {
    await this.killAll(call)
    await pollUntil('the control groups of the guest to go', () => this.#areRemoved(), {
      ...{ deadlineMs: END_MS, intervalMs: 2 },
      ...call,
    })
  }

  #isEmptied(): boolean {
    const left = this.processes()
    for (const pid of left) signalPid(pid, 'SIGKILL')
    if (left.length > 0) this.thaw() // in version 1 what stands still does not die
    return left.length === 0
  }

  /** A group that just became empty may still be busy for a moment. */
  #areRemoved(): boolean {
    try {
      for (const folder of [...this.#folders(), ...this.#foldersOfRunc()]) removeFolder(folder)
      return true
    } catch (error) {
      if (errorCode(error) === 'EBUSY') return false
      throw error
    }
  }

  #folders(): string[] {
    const all = controllers.map((controller) => this.folderOf(controller))
    return [...new Set(all)]
  }

  /** Not ours, and nothing is in them but what is in ours; runc leaves them behind. */
  #foldersOfRunc(): string[] {
    const mounts = this.#mounts
    return mounts.version === 2 ? [] : mounts.others.map((root) => join(root, this.path))
  }

  #usage1(): CgroupUsage {
    const ticks = this.#read('cpuacct', 'cpuacct.stat')
    return {
      cpuNs: BigInt(this.#read('cpuacct', 'cpuacct.usage')?.trim() ?? 0),
      userNs: BigInt(numberIn(ticks, 'user')) * TICK_NS,
      systemNs: BigInt(numberIn(ticks, 'system')) * TICK_NS,
      throttledNs: BigInt(numberIn(this.#read('cpu', 'cpu.stat'), 'throttled_time')),
      memoryBytes: Number(this.#read('memory', 'memory.usage_in_bytes') ?? 0),
      processes: Number(this.#read('pids', 'pids.current') ?? 0),
      outOfMemoryKills: numberIn(this.#read('memory', 'memory.oom_control'), 'oom_kill'),
    }
  }

  #usage2(): CgroupUsage {
    const cpu = this.#read('cpu', 'cpu.stat')
    return {
      cpuNs: BigInt(numberIn(cpu, 'usage_usec')) * 1000n,
      userNs: BigInt(numberIn(cpu, 'user_usec')) * 1000n,
      systemNs: BigInt(numberIn(cpu, 'system_usec')) * 1000n,
      throttledNs: BigInt(numberIn(cpu, 'throttled_usec')) * 1000n,
      memoryBytes: Number(this.#read('memory', 'memory.current') ?? 0),
      processes: Number(this.#read('pids', 'pids.current') ?? 0),
      outOfMemoryKills: numberIn(this.#read('memory', 'memory.events'), 'oom_kill'),
    }
  }

  #write(controller: Controller, file: string, value: string): void {
    writeFileSync(join(this.folderOf(controller), file), value)
  }

  /** For files that a kernel may be built without, and for groups that may be gone. */
  #writeIfThere(controller: Controller, file: string, value: string): void {
    try {
      this.#write(controller, file, value)
    } catch (error) {
      if (!['ENOENT', 'EACCES', 'ENODEV'].includes(errorCode(error) ?? '')) throw error
    }
  }

  #read(controller: Controller, file: string): string | undefined {
    try {
      return readFileSync(join(this.folderOf(controller), file), 'utf8')
    } catch (error) {
      if (['ENOENT', 'ENODEV'].includes(errorCode(error) ?? '')) return undefined
      throw error
    }
  }
}

const controllerOf = (file: string) => file.split('.')[0] as Controller

function removeFolder(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}

/** The value behind a key in a file of lines "key value". */
function numberIn(text: string | undefined, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text ?? '')?.[1] ?? 0)
}
