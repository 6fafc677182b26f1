/**
 * For tests: runs a program of this repository in a guest with Debian's cloud kernel, which has the thin
 * targets that the host's may lack. Emulated, so that it runs anywhere; what it prints comes over the
 * serial console.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { machine } from 'node:os'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { findTool, makeGuestDisk, programInGuest } from './guest-image.ts'

const KERNEL = join(import.meta.dirname, '../../../build/kernel')
const MODULES = ['virtio_mmio', 'virtio_blk', 'dm-thin-pool']
const MEMORY_MIB = 768

export interface GuestRun {
  readonly exitCode: number
  readonly output: string
}

export interface GuestProgram {
  /** Of this run, among those of one folder. */
  readonly name: string
  /** One of those that the root disk was made with. */
  readonly program: string
  /** Blank disks, found in the guest as /dev/disk-NAME. */
  readonly disks: Readonly<Record<string, number>>
}

const rootDiskOf = (folder: string) => join(folder, 'root.ext4')

/**
 * The disk that guests of this folder start from; none of them writes to it.
 *
 * @param folder an empty one.
 * @param programs modules of this repository: what is run, and what that starts as a process.
 */
export async function makeRootDisk(folder: string, programs: readonly string[]): Promise<void> {
  const staging = join(folder, 'root')
  mkdirSync(staging)
  await makeGuestDisk(staging, rootDiskOf(folder), programs)
}

export async function runInGuest(
  folder: string,
  { name, program, disks }: GuestProgram,
  signal: AbortSignal,
): Promise<GuestRun> {
  const own = join(folder, name)
  mkdirSync(own)
  const drives = [driveWords('root', rootDiskOf(folder), 'readonly=on')]
  for (const [disk, bytes] of Object.entries(disks)) {
    const path = join(own, `${disk}.disk`)
    writeFileSync(path, '')
    truncateSync(path, bytes)
    drives.push(driveWords(disk, path, 'discard=unmap'))
  }
  const initramfs = join(own, 'initramfs.cpio')
  makeInitramfs(join(own, 'initramfs'), initramfs, programInGuest(program))
  return await boot(initramfs, drives.flat(), signal)
}

const driveWords = (name: string, path: string, option: string) => [
  ...['-drive', `id=${name},file=${path},format=raw,if=none,cache=unsafe,${option}`],
  ...['-device', `virtio-blk-device,drive=${name},serial=${name}`],
]

async function boot(initramfs: string, drives: string[], signal: AbortSignal): Promise<GuestRun> {
  const isArm = machine() === 'aarch64'
  // One without AVX: under QEMU 7.2, whose emulation of it was new, now and then Node dies of a signal.
  const cpu = isArm ? 'max' : 'Nehalem'
  const board = isArm ? 'virt' : 'microvm,acpi=on,pit=on,pic=on,rtc=on'
  const kiloHertz = /^cpu MHz\s*: (\d+)/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]
  // Without it, the guest of a busy machine may hang while it measures its clock.
  const clock = kiloHertz === undefined ? '' : `tsc_early_khz=${kiloHertz}000`
  // Page tables switched at each system call are what an emulator is slowest at, and nobody here is hostile.
  // Code at the same addresses in each process is translated once: a command of LVM takes a third of the time.
  const words = `console=${isArm ? 'ttyAMA0' : 'ttyS0'} quiet panic=-1 mitigations=off norandmaps ${clock}`
  const child = spawn(
    isArm ? 'qemu-system-aarch64' : 'qemu-system-x86_64',
    [
      ...['-M', board, '-accel', 'tcg,thread=multi', '-cpu', cpu, '-smp', '1'],
      ...['-m', String(MEMORY_MIB), '-nodefaults', '-no-user-config', '-display', 'none'],
      ...['-no-reboot', '-serial', 'stdio', '-kernel', join(KERNEL, 'vmlinuz')],
      ...['-initrd', initramfs, '-append', words, ...drives],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], signal, killSignal: 'SIGKILL' },
  )
  const closed = once(child, 'close')
  const [output] = await Promise.all([text(child.stdout), closed])
  const exitCode = /^godwit-guest-exit (\d+)/m.exec(output)?.[1]
  if (exitCode === undefined) throw new Error(`the guest did not end its program:\n${output}`)
  return { exitCode: Number(exitCode), output: output.replaceAll('\r', '') }
}

function makeInitramfs(folder: string, archive: string, program: string): void {
  for (const name of ['bin', 'dev', 'proc', 'sys', 'modules', 'guest']) {
    mkdirSync(join(folder, name), { recursive: true })
  }
  copyFileSync(findTool('busybox'), join(folder, 'bin/busybox'))
  const modules = modulesFor(MODULES)
  for (const module of modules) copyFileSync(module, join(folder, 'modules', basename(module)))
  const script = initScript(
    modules.map((module) => basename(module)),
    program,
  )
  writeFileSync(join(folder, 'init'), script, { mode: 0o755 })
  const find = execFileSync('find', ['.'], { cwd: folder })
  const words = ['cpio', '-o', '-H', 'newc', '-F', archive]
  execFileSync(findTool('busybox'), words, {
    cwd: folder,
    input: find,
    stdio: ['pipe', 'ignore', 'pipe'],
  })
}

/** An emulator translates what V8's compilers make anew each time; the interpreter is translated once. */
const NODE_OPTIONS = '--jitless --disable-warning=ExperimentalWarning'

function initScript(modules: readonly string[], program: string): string {
  return `#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs dev /dev
for module in ${modules.join(' ')}; do $bb insmod /modules/$module; done
for disk in /sys/block/vd*; do $bb ln -s $($bb basename $disk) /dev/disk-$($bb cat $disk/serial); done
$bb mount -t ext4 -o ro,noatime /dev/disk-root /guest
for name in proc sys dev; do $bb mount --move /$name /guest/$name; done
for name in run scratch etc/lvm; do $bb mount -t tmpfs tmpfs /guest/$name; done
export PATH=/bin HOME=/scratch TMPDIR=/scratch NO_COLOR=1 NODE_OPTIONS='${NODE_OPTIONS}'
$bb chroot /guest ${process.execPath} ${program}
$bb echo "godwit-guest-exit $?"
$bb poweroff -f
`
}

/** The files of kernel modules, each after those it needs. Source: modinfo(8), the field `depends`. */
function modulesFor(names: readonly string[]): string[] {
  const files = new Map(
    readdirSync(join(KERNEL, 'unpacked/lib/modules'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.name.endsWith('.ko'))
      .map((entry) => [moduleName(entry.name), join(entry.parentPath, entry.name)]),
  )
  const ordered: string[] = []
  const add = (name: string) => {
    const file = files.get(moduleName(name))
    if (file === undefined) throw new Error(`the kernel has no module ${name}`)
    if (ordered.includes(file)) return
    const needs = /\0depends=([^\0]*)\0/.exec(readFileSync(file, 'latin1'))?.[1] ?? ''
    for (const need of needs.split(',').filter(Boolean)) add(need)
    ordered.push(file)
  }
  for (const name of names) add(name)
  return ordered
}

const moduleName = (name: string) => name.replace(/\.ko$/, '').replaceAll('-', '_')
