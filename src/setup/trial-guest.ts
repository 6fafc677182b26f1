/**
 * The trial guest: the smallest system that proves a virtual machine works here. Debian's own
 * cloud kernel, unpacked and not installed, and an initial file system of one static binary whose
 * init prints a line to the serial console and turns the machine off.
 */
import { readFileSync, renameSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type Apt, askApt } from './apt.ts'
import { mustRun } from './command.ts'
import { writeCpio } from './cpio.ts'
import { SetupError } from './errors.ts'
import { type Architecture, debianNames, findCommand } from './packages.ts'
import type { Piece } from './piece.ts'

/** What the trial guest's init says once it runs: proof that a guest reached user space. */
export const TRIAL_MARKER = 'godwit-trial-guest-is-up'

const UNPACK_DEADLINE_MS = 120_000

/** Debian's cloud kernel under `build/kernel`, with its modules; `vmlinuz` is its image. */
export function kernelPiece(architecture: Architecture, release: string): Piece<Apt> {
  const metaPackage = `linux-image-cloud-${debianNames[architecture].architecture}`
  return {
    name: 'kernel',
    why: `the kernel that trial guests boot (${metaPackage}, unpacked, not installed)`,
    inputs: () => ['layout 1', metaPackage, release],
    outputs: ['vmlinuz'],
    async build(folder, apt) {
      const real = await realPackage(metaPackage, apt)
      await askApt(apt, 'apt-get', ['download', real], folder)
      const archive = (await readdir(folder)).find((name) => name.endsWith('.deb'))
      if (archive === undefined) throw unusable(metaPackage, 'apt-get download left no file')
      const options = { signal: apt.signal, deadlineMs: UNPACK_DEADLINE_MS, cwd: folder }
      await mustRun('dpkg-deb', ['--extract', archive, 'unpacked'], options)
      const boot = join(folder, 'unpacked', 'boot')
      const image = (await readdir(boot)).find((name) => name.startsWith('vmlinuz-'))
      if (image === undefined) throw unusable(real, 'it holds no /boot/vmlinuz-*')
      renameSync(join(boot, image), join(folder, 'vmlinuz'))
      await mustRun('rm', [archive], options)
    },
  }
}

/** A meta package depends on the kernel of the day. */
async function realPackage(metaPackage: string, apt: Apt): Promise<string> {
  const { stdout } = await askApt(apt, 'apt-cache', ['depends', metaPackage])
  const real = /^\s*Depends: (linux-image-\S+)$/m.exec(stdout)?.[1]
  if (real === undefined) throw unusable(metaPackage, 'it depends on no kernel')
  return real
}

function unusable(name: string, why: string): SetupError {
  return new SetupError('setup.build_failed', {
    what: 'the kernel package is not what we expect',
    values: { package: name, why },
    fix: 'apt-get update, then npm run setup; without it only the trials of virtual machines fail',
  })
}

/** The initial file system under `build/trial`. Source of the layout: the kernel's initramfs docs. */
export const initramfsPiece: Piece<Apt> = {
  name: 'trial',
  why: 'the initial file system of trial guests',
  inputs: () => [INIT_SCRIPT, readFileSync(busyboxPath())],
  outputs: ['initramfs.cpio.gz'],
  async build(folder) {
    const busybox = readFileSync(busyboxPath())
    const archive = writeCpio([
      { kind: 'folder', path: 'bin' },
      { kind: 'folder', path: 'dev' },
      { kind: 'character', path: 'dev/console', major: 5, minor: 1 },
      { kind: 'file', path: 'bin/busybox', bytes: busybox, mode: 0o755 },
      { kind: 'file', path: 'init', bytes: Buffer.from(INIT_SCRIPT), mode: 0o755 },
    ])
    await writeFile(join(folder, 'initramfs.cpio.gz'), gzipSync(archive))
  },
}

const INIT_SCRIPT = `#!/bin/busybox sh
echo ${TRIAL_MARKER}
exec /bin/busybox poweroff -f
`

function busyboxPath(): string {
  const path = findCommand('busybox')
  if (path !== undefined) return path
  throw new SetupError('setup.command_missing', {
    what: 'a command is not installed',
    values: { command: 'busybox' },
    fix: 'npm run setup',
  })
}
