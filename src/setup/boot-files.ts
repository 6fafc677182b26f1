/**
 * What virtual machines boot, under `build/machine`: Debian's cloud kernel as the ELF file that a hypervisor
 * enters directly (PVH: no firmware, nothing to decompress), an initramfs of the guest's init and the few
 * modules that this kernel needs, and one of init alone for the small kernel (small-kernel/), which has
 * them built in.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Apt } from './apt.ts'
import { mustRun } from './command.ts'
import { type CpioEntry, writeCpio } from './cpio.ts'
import { SetupError } from './errors.ts'
import { moduleDependencies, orderModules } from './kernel-modules.ts'
import type { Piece } from './piece.ts'

const UNPACK_DEADLINE_MS = 60_000

/** Init loads these at boot, in an order that their dependencies allow. */
const MODULES = [
  ...['virtio_mmio', 'virtio_console', 'virtio_blk', 'virtio_net', 'virtio_balloon', 'virtio-rng'],
  ...['fuse', 'overlay', 'tun'],
]
/** These when a volume needs them: the names of file systems. */
const FILE_SYSTEMS = ['xfs']

export function bootFilesPiece(parts: readonly Piece<Apt>[]): Piece<Apt> {
  return {
    name: 'machine',
    why: 'the kernel and initial file systems that virtual machines boot',
    inputs: () => [
      'layout 3',
      ...MODULES,
      ...FILE_SYSTEMS,
      ...parts.flatMap((one) => one.inputs()),
    ],
    outputs: ['vmlinux', 'initramfs.cpio', 'initramfs-small.cpio'],
    async build(folder, apt) {
      const built = dirname(folder)
      const init = readFileSync(join(built, 'init', 'init'))
      const kernel = readFileSync(join(built, 'kernel', 'vmlinuz'))
      await unpackKernel(kernel, join(folder, 'vmlinux'), apt.signal)
      const small = initramfs(init, [])
      const full = initramfs(init, moduleEntries(join(built, 'kernel', 'unpacked')))
      await writeFile(join(folder, 'initramfs-small.cpio'), small)
      await writeFile(join(folder, 'initramfs.cpio'), full)
    },
  }
}

/** Uncompressed: it is small, and the guest would have to unpack it. */
function initramfs(init: Buffer, modules: readonly CpioEntry[]): Buffer {
  return writeCpio([
    { kind: 'folder', path: 'dev' },
    { kind: 'character', path: 'dev/console', major: 5, minor: 1 },
    ...['proc', 'sys', 'newroot'].map((path) => ({ kind: 'folder', path }) as const),
    { kind: 'file', path: 'init', bytes: init, mode: 0o755 },
    ...modules,
  ])
}

/** `/modules/order` is loaded at boot; `/modules/NAME.order` for a file system of that name. */
function moduleEntries(unpacked: string): CpioEntry[] {
  const files = findModules(unpacked)
  const dependsOn = (name: string) => moduleDependencies(readModule(files, name))
  const always = orderModules(MODULES, dependsOn)
  const later = FILE_SYSTEMS.map((name) => {
    const needed = orderModules([name], dependsOn).filter((one) => !always.includes(one))
    return { name, needed }
  })
  const order = (path: string, names: readonly string[]): CpioEntry => {
    return { kind: 'file', path, bytes: Buffer.from(names.map((one) => `${one}.ko\n`).join('')) }
  }
  return [
    { kind: 'folder', path: 'modules' },
    order('modules/order', always),
    ...later.map(({ name, needed }) => order(`modules/${name}.order`, needed)),
    ...[...always, ...later.flatMap(({ needed }) => needed)].map((name): CpioEntry => {
      return { kind: 'file', path: `modules/${name}.ko`, bytes: readModule(files, name) }
    }),
  ]
}

type ModuleFiles = ReadonlyMap<string, string>

/** By name as the kernel says it: `_` and `-` are one letter there. */
function findModules(unpacked: string): ModuleFiles {
  const paths = readdirSync(join(unpacked, 'lib', 'modules'), { recursive: true, encoding: 'utf8' })
  return new Map(
    paths
      .filter((path) => path.endsWith('.ko'))
      .map((path) => [moduleName(path), join(unpacked, 'lib', 'modules', path)]),
  )
}

const moduleName = (path: string) =>
  (path.split('/').at(-1) ?? '').slice(0, -3).replaceAll('-', '_')

function readModule(files: ModuleFiles, name: string): Buffer {
  const path = files.get(name.replaceAll('-', '_'))
  if (path !== undefined) return readFileSync(path)
  throw unusable('it lacks a module that machines need', { module: name })
}

/** Source: the kernel's Documentation/x86/boot.rst: where a bzImage has its payload, and how long. */
const field = { setupSectors: 0x1f1, payloadOffset: 0x248, payloadLength: 0x24c } as const
const SECTOR_BYTES = 512
/** Behind the payload's own end stands its unpacked length. */
const LENGTH_BYTES = 4
const unpackers = [
  { magic: '02214c18', command: 'lz4' },
  { magic: 'fd377a58', command: 'xz' },
  { magic: '28b52ffd', command: 'zstd' },
  { magic: '1f8b', command: 'gzip' },
] as const

async function unpackKernel(image: Buffer, target: string, signal: AbortSignal): Promise<void> {
  const setupBytes = ((image[field.setupSectors] || 4) + 1) * SECTOR_BYTES
  const start = setupBytes + image.readUInt32LE(field.payloadOffset)
  const end = start + image.readUInt32LE(field.payloadLength) - LENGTH_BYTES
  const payload = image.subarray(start, end)
  const magic = payload.subarray(0, 4).toString('hex')
  const unpacker = unpackers.find((one) => magic.startsWith(one.magic))
  if (unpacker === undefined) throw unusable('its image is packed in an unknown way', { magic })
  const packed = `${target}.packed`
  await writeFile(packed, payload)
  const options = { signal, deadlineMs: UNPACK_DEADLINE_MS }
  const script = '"$0" -dc <"$1" >"$2" && rm "$1"'
  await mustRun('sh', ['-c', script, unpacker.command, packed, target], options)
}

function unusable(why: string, values: Record<string, string>): SetupError {
  return new SetupError('setup.build_failed', {
    what: 'the kernel package is not what we expect',
    values: { why, ...values },
    fix: 'rm -r build/kernel, then npm run setup; without it no virtual machine runs here',
  })
}
