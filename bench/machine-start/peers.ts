/** The same programs that our runtimes drive, without all that a machine needs around them. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { findBootFiles } from '#guest'
import { MEMORY_MIB } from './our-machines.ts'

const ARCHIVE_BYTES_MAX = 16 << 20
const MARK = 'bare-machine-is-up'

/** `runc run` with its own default configuration, on a root that is mounted already. */
export class BareRunc implements Disposable {
  readonly #bundle: string
  #count = 0

  constructor(folder: string, rootDisk: string) {
    this.#bundle = join(folder, 'bundle')
    mkdirSync(join(this.#bundle, 'rootfs'), { recursive: true })
    const disk = join(folder, 'bare.root')
    copyFileSync(rootDisk, disk)
    execFileSync('mount', ['-o', 'loop', disk, join(this.#bundle, 'rootfs')])
    execFileSync('runc', ['spec', '--bundle', this.#bundle])
    const path = join(this.#bundle, 'config.json')
    const config = JSON.parse(readFileSync(path, 'utf8'))
    config.process.terminal = false
    config.process.args = ['/bin/sh', '-c', `echo ${MARK}`]
    writeFileSync(path, JSON.stringify(config))
  }

  /** From the start of runc to the first byte of output, in ms. */
  async start(): Promise<number> {
    this.#count += 1
    const id = `godwit-bench-${process.pid}-${this.#count}`
    const startedMs = performance.now()
    const args = ['run', '--bundle', this.#bundle, id]
    const child = spawn('runc', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const exit = once(child, 'exit')
    await outputOf(child)
    const tookMs = performance.now() - startedMs
    await exit
    return tookMs
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [join(this.#bundle, 'rootfs')])
  }
}

/** Loads the same modules as init, mounts the same root, and runs a shell in it. */
const INIT = `#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
if [ -e /modules/order ]; then
  while read -r module; do busybox insmod "/modules/$module"; done </modules/order
fi
busybox mount -t ext4 /dev/vda /newroot
exec busybox chroot /newroot /bin/sh -c 'echo ${MARK}; exec sleep 1000'
`

/** QEMU with the kernel that our machines boot, and an initramfs that does what init does at least. */
export class BareQemu {
  readonly #kernel: string
  readonly #initramfs: string
  readonly #tscKhz: string

  constructor(folder: string) {
    const { kernelPath, initramfsPath } = findBootFiles({})
    this.#kernel = kernelPath
    this.#initramfs = join(folder, 'bare-initramfs.cpio')
    copyFileSync(initramfsPath, this.#initramfs)
    // A second archive behind the first adds files and replaces /init.
    const extra = join(folder, 'bare-initramfs')
    mkdirSync(join(extra, 'bin'), { recursive: true })
    copyFileSync(join(folder, 'root/bin/busybox'), join(extra, 'bin/busybox'))
    writeFileSync(join(extra, 'init'), INIT, { mode: 0o755 })
    const archived = execFileSync('busybox', ['cpio', '-o', '-H', 'newc'], {
      ...{ cwd: extra, input: 'bin\nbin/busybox\ninit\n', maxBuffer: ARCHIVE_BYTES_MAX },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    appendFileSync(this.#initramfs, archived)
    rmSync(extra, { recursive: true })
    const megaHertz = /^cpu MHz\s*: ([\d.]+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]
    this.#tscKhz = String(Math.round(Number(megaHertz ?? 2_000) * 1000))
  }

  /** From the start of QEMU to the first byte that the shell writes to the console, in ms. */
  async start(disk: string): Promise<number> {
    const startedMs = performance.now()
    const child = spawn('qemu-system-x86_64', this.#words(disk), {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(child, 'exit')
    try {
      await outputOf(child)
      return performance.now() - startedMs
    } finally {
      child.kill('SIGKILL')
      await exit
    }
  }

  #words(disk: string): string[] {
    const append = `console=ttyS0 quiet panic=-1 reboot=t tsc_early_khz=${this.#tscKhz}`
    return [
      ...['-machine', 'microvm,acpi=on,isa-serial=on', '-accel', 'tcg', '-cpu', 'max'],
      ...['-m', `${MEMORY_MIB}M`, '-nodefaults', '-no-user-config', '-display', 'none'],
      ...['-kernel', this.#kernel, '-initrd', this.#initramfs, '-append', append],
      ...['-serial', 'stdio', '-drive', `if=none,id=root,format=raw,file=${disk}`],
      ...['-device', 'virtio-blk-device,drive=root'],
    ]
  }
}

/** Resolves once it has said that it is up. @throws when it ends before */
async function outputOf({ stdout }: ChildProcess): Promise<void> {
  if (stdout === null) throw new TypeError('the output is not a pipe')
  let seen = ''
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  stdout.setEncoding('utf8').on('data', (text: string) => {
    seen += text
    if (seen.includes(MARK)) resolve()
  })
  stdout.on('end', () => reject(new Error(`it ended without a sign of life: ${seen}`)))
  await promise
}
