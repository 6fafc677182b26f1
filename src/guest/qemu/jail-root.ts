/**
 * The root that every QEMU of this host has: its program, the libraries that this loads, the firmware, the
 * kernel and the initramfs, and nothing else. One folder for each version of these files, made once,
 * written by nobody after; a machine's own folder is mounted over `run` in its own mount namespace.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, constants, copyFileSync, mkdirSync } from 'node:fs'
import { mkdtemp, readdir, realpath, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { errorCode } from '#base'
import { GuestError } from '../errors.ts'
import { inside } from './command-line.ts'

export interface JailFiles {
  readonly kernelPath: string
  readonly initramfsPath: string
}

export interface JailRoot {
  readonly path: string
  /** Of all that is in it: another key is another QEMU, kernel or init. */
  readonly key: string
}

const run = promisify(execFile)
const FIRMWARE = '/usr/share/qemu/qboot.rom'
const MODULES = '/usr/lib/x86_64-linux-gnu/qemu'
const ACCELERATOR = 'accel-tcg-x86_64.so'

/** Where a file comes from, and where it lies in the root. */
interface Placed {
  readonly source: string
  readonly target: string
}

/** May run twice, and at the same time. @throws GuestError guest.host_unable */
export async function ensureJailRoot(folder: string, files: JailFiles): Promise<JailRoot> {
  const placed = await listFiles(files)
  const key = await keyOf(placed)
  const path = join(folder, `root-${key}`)
  if (!(await isThere(path))) await makeRoot(folder, path, placed)
  const now = new Date()
  await utimes(path, now, now) // it is in use
  return { path, key }
}

async function listFiles({ kernelPath, initramfsPath }: JailFiles): Promise<readonly Placed[]> {
  const module = join(MODULES, ACCELERATOR)
  const optional = (await isThere(module)) ? [module] : [] // distributions that build it in
  const programs = [inside.qemu, ...optional]
  for (const path of [...programs, kernelPath, initramfsPath, FIRMWARE]) {
    if (!(await isThere(path))) throw missing(path)
  }
  const libraries = await Promise.all(programs.map(librariesOf))
  const own = new Set([...programs, ...libraries.flat(), FIRMWARE])
  return [
    ...[...own].map((path) => ({ source: path, target: path })),
    { source: kernelPath, target: inside.kernel },
    { source: initramfsPath, target: inside.initramfs },
  ]
}

/** What the dynamic loader would load, itself included. Source: ldd(1). */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run('ldd', [program], { env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' } })
  return [...stdout.matchAll(/^\t(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, path = '']) => path)
}

async function keyOf(files: readonly Placed[]): Promise<string> {
  const hash = createHash('sha256')
  for (const { source, target } of files) {
    const { size, mtimeMs } = await stat(source)
    hash.update(`${target} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex').slice(0, 16)
}

/** Appears whole or not at all; of two that make it at once one stays. */
async function makeRoot(folder: string, path: string, files: readonly Placed[]): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  await removeOld(folder)
  const draft = await mkdtemp(join(folder, DRAFT))
  try {
    chmodSync(draft, 0o755)
    for (const name of ['dev', 'run']) mkdirSync(join(draft, name)) // a mount for each machine
    for (const { source, target } of files) place(await realpath(source), join(draft, target))
    await rename(draft, path)
  } catch (error) {
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

function place(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true, mode: 0o755 })
  copyFileSync(source, target, constants.COPYFILE_FICLONE)
  chmodSync(target, 0o755)
}

const DRAFT = 'draft-'
const DRAFT_AGE_MS = 600_000
const UNUSED_AGE_MS = 30 * 86_400_000

/** Drafts of processes that were killed, and roots of versions that nobody has used for a month. */
async function removeOld(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const ageMs = Date.now() - (await stat(path)).mtimeMs
    const isOld = ageMs > (name.startsWith(DRAFT) ? DRAFT_AGE_MS : UNUSED_AGE_MS)
    if (isOld) await rm(path, { recursive: true, force: true })
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

function missing(path: string): GuestError {
  return new GuestError('guest.host_unable', {
    what: 'a file that virtual machines need is missing',
    values: { path },
    fix: 'npm run setup; on processors other than x86-64 QEMU runs no machines yet',
  })
}
