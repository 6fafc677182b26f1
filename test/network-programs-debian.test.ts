import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { machine, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import test from 'node:test'

const BUILD = resolve(import.meta.dirname, '../build')
const BOOT_DEADLINE_MS = 150_000
const VERDICT = 'godwit-verdict'
const PROGRAMS = [
  ...['from_machine', 'from_mesh', 'from_peer', 'from_ssh'],
  ...['to_machine', 'to_mesh', 'to_peer', 'wire'],
]

/** The guest's init: loads the programs, says what the kernel thinks of them, and is over. */
const INIT = `#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t bpf bpf /sys/fs/bpf
busybox echo kernel $(busybox uname -r)
bpftool prog loadall /network.o /sys/fs/bpf/programs && for program in ${PROGRAMS.join(' ')}; do
  [ -e /sys/fs/bpf/programs/$program ] && busybox echo ${VERDICT} $program
done
busybox poweroff -f
`

test("the verifier of Debian's own kernel takes every program of the network", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-network-programs-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const guest = join(folder, 'initramfs.cpio')
  writeFileSync(guest, packGuest(join(folder, 'root')))
  const said = await boot(guest)
  assert.match(said, /kernel \d+\.\d+/)
  assert.deepEqual(
    [...said.matchAll(new RegExp(`${VERDICT} (\\w+)`, 'g'))].map(([, program]) => program),
    PROGRAMS,
    said,
  )
})

/** bpftool with its libraries, busybox and the programs, as an initial file system. */
function packGuest(root: string): Buffer {
  const bpftool = execFileSync('sh', ['-c', 'command -v bpftool'], { encoding: 'utf8' }).trim()
  const libraries =
    execFileSync('ldd', [bpftool], { encoding: 'utf8' }).match(/\/\S+(?= \(0x)/g) ?? []
  const put = (from: string, to: string) => {
    mkdirSync(join(root, dirname(to)), { recursive: true })
    copyFileSync(from, join(root, to))
    chmodSync(join(root, to), 0o755)
  }
  for (const folder of ['proc', 'sys', 'dev']) mkdirSync(join(root, folder), { recursive: true })
  for (const library of libraries) put(library, library)
  put(bpftool, 'bin/bpftool')
  put('/bin/busybox', 'bin/busybox')
  put(join(BUILD, 'bpf/network.o'), 'network.o')
  writeFileSync(join(root, 'init'), INIT, { mode: 0o755 })
  const options = { cwd: root, maxBuffer: 256 << 20 }
  return execFileSync('sh', ['-c', 'find . | busybox cpio -o -H newc 2>/dev/null'], options)
}

/** Emulated, for not every machine has KVM. Gives all that the guest said. */
async function boot(initramfs: string): Promise<string> {
  const isArm = machine() === 'aarch64'
  const khz = /^cpu MHz\s*: ([\d.]+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]
  const clock = isArm || khz === undefined ? '' : ` tsc_early_khz=${Math.round(Number(khz) * 1000)}`
  const board = isArm ? 'virt,gic-version=max' : 'microvm,pit=on,pic=on,rtc=on'
  const args = [
    ...['-M', board, '-accel', 'tcg', '-cpu', 'max', '-m', '256', '-nodefaults', '-no-user-config'],
    ...['-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...['-kernel', join(BUILD, 'kernel/vmlinuz'), '-initrd', initramfs],
    ...['-append', `console=${isArm ? 'ttyAMA0' : 'ttyS0'} quiet panic=-1${clock}`],
  ]
  const child = spawn(isArm ? 'qemu-system-aarch64' : 'qemu-system-x86_64', args, {
    signal: AbortSignal.timeout(BOOT_DEADLINE_MS),
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    said += piece
  })
  await new Promise((done, fail) => child.once('close', done).once('error', fail))
  return said
}
