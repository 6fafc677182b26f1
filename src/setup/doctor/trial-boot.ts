import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { cpus, machine, release } from 'node:os'
import { join } from 'node:path'
import { errorCode } from '#base'
import { lastLine } from '../command.ts'
import { debianNames } from '../packages.ts'
import { TRIAL_MARKER } from '../trial-guest.ts'
import type { ProbeContext } from './probe.ts'

export type Accelerator = 'kvm' | 'tcg'

export interface Trial {
  /** The guest reached user space. */
  readonly booted: boolean
  readonly tookMs: number
  /** QEMU's own last words when it gave up by itself. */
  readonly said: string | undefined
  readonly qemuVersion: string
  /** Remembered from an earlier doctor. */
  readonly cached: boolean
}

export type TrialContext = Pick<ProbeContext, 'signal' | 'buildFolder' | 'fresh' | 'run'>

/** A guest that works boots in well under a second on KVM, and in two to four emulated. */
const bootDeadlinesMs = { kvm: 8_000, tcg: 30_000 } as const satisfies Record<Accelerator, number>

/**
 * Boots the trial guest. That /dev/kvm can be opened proves nothing: nested hypervisors exist that
 * create machines and never run them. The verdict is remembered until this machine reboots or one
 * of the things that decide it changes.
 */
export async function tryBoot(accelerator: Accelerator, context: TrialContext): Promise<Trial> {
  const names = debianNames[machine() === 'aarch64' ? 'aarch64' : 'x86_64']
  const qemuVersion =
    /version (\S+)/.exec((await context.run(names.qemuCommand, ['--version'])).stdout)?.[1] ?? '?'
  const guest = guestFiles(context.buildFolder)
  const key = trialKey(accelerator, qemuVersion, guest)
  const remembered = context.fresh ? undefined : readTrials(context.buildFolder)[key]
  if (remembered !== undefined) return { ...remembered, cached: true }
  const startedMs = performance.now()
  const args = qemuArguments(
    accelerator,
    guest,
    tscKiloHertz(readFileSync('/proc/cpuinfo', 'utf8')),
  )
  let booted = false
  const result = await context
    .run(names.qemuCommand, args, {
      deadlineMs: bootDeadlinesMs[accelerator],
      isEnough: (stdout) => (booted = stdout.includes(TRIAL_MARKER)),
    })
    .catch((error: unknown) => {
      if (context.signal.aborted) throw error
      return undefined // the deadline passed: the guest hangs
    })
  const tookMs = Math.round(performance.now() - startedMs)
  const said = booted ? undefined : lastLine(result?.stderr ?? '')
  const trial: Trial = { booted, tookMs, said, qemuVersion, cached: false }
  rememberTrial(context.buildFolder, key, trial)
  return trial
}

/** True when set-up has built what `tryBoot` boots. */
export function hasTrialGuest(buildFolder: string): boolean {
  return Object.values(guestFiles(buildFolder)).every((path) => existsSync(path))
}

type GuestFiles = ReturnType<typeof guestFiles>

function guestFiles(buildFolder: string) {
  return {
    kernel: join(buildFolder, 'kernel', 'vmlinuz'),
    initramfs: join(buildFolder, 'trial', 'initramfs.cpio.gz'),
  }
}

/**
 * `-arch-capabilities`: nested hypervisors refuse that CPU feature. `tsc_early_khz`: a guest that
 * is emulated on a busy machine fails to calibrate its clock against the emulated timer, and hangs.
 */
function qemuArguments(
  accelerator: Accelerator,
  guest: GuestFiles,
  tscKhz: number | undefined,
): string[] {
  const isArm = machine() === 'aarch64'
  const board = isArm ? 'virt,gic-version=max' : 'microvm,pit=on,pic=on,rtc=on'
  const hostCpu = isArm ? 'host' : 'host,-arch-capabilities'
  const words = [`console=${isArm ? 'ttyAMA0' : 'ttyS0'}`, 'quiet', 'panic=-1']
  if (accelerator === 'tcg' && !isArm && tscKhz !== undefined) words.push(`tsc_early_khz=${tscKhz}`)
  return [
    ...['-M', board, '-accel', accelerator, '-cpu', accelerator === 'kvm' ? hostCpu : 'max'],
    ...['-m', '128', '-smp', '1', '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-no-reboot', '-serial', 'stdio', '-kernel', guest.kernel, '-initrd', guest.initramfs],
    ...['-append', words.join(' ')],
  ]
}

/** @param text /proc/cpuinfo. @returns undefined where it names no frequency. */
export function tscKiloHertz(text: string): number | undefined {
  const megaHertz = /^cpu MHz\s*: ([\d.]+)$/m.exec(text)?.[1]
  return megaHertz === undefined ? undefined : Math.round(Number(megaHertz) * 1000)
}

/** All that decides whether a guest boots here. The boot id: modules and BIOS settings change. */
function trialKey(accelerator: Accelerator, qemuVersion: string, guest: GuestFiles): string {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  const built = Object.values(guest).map((path) => `${path} ${statSync(path).mtimeMs}`)
  return [accelerator, release(), qemuVersion, cpus()[0]?.model, bootId, ...built].join('|')
}

type Trials = Record<string, Trial>
const cacheFile = (buildFolder: string) => join(buildFolder, 'trials.json')
/** Two accelerators and a few versions of QEMU: more means old entries. */
const TRIALS_MAX = 8

function readTrials(buildFolder: string): Trials {
  try {
    return JSON.parse(readFileSync(cacheFile(buildFolder), 'utf8'))
  } catch {
    return {} // absent or cut short: every verdict in it can be had again
  }
}

/** Without a pause between reading and writing: the two trials may end at the same time. */
function rememberTrial(buildFolder: string, key: string, trial: Trial): void {
  const kept = Object.entries(readTrials(buildFolder)).slice(1 - TRIALS_MAX)
  const fresh = `${cacheFile(buildFolder)}.${process.pid}.new`
  const text = JSON.stringify({ ...Object.fromEntries(kept), [key]: trial }, undefined, 2)
  try {
    writeFileSync(fresh, text)
    renameSync(fresh, cacheFile(buildFolder))
  } catch (error) {
    // A user in a checkout of another one: the next doctor just tries again.
    if (errorCode(error) !== 'EACCES' && errorCode(error) !== 'EROFS') throw error
  }
}
