/**
 * For tests: the disk of a guest that runs our own tests on another kernel. Node, the tests as one file
 * each, LVM's tools, and the libraries of all of these, where they are on the host.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  realpathSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { build } from 'esbuild'

const TOOLS = [
  'lvm',
  'dmsetup',
  'thin_check',
  'thin_ls',
  'blkdiscard',
  'cp',
  'mkfs.ext4',
  'blkid',
  'sh',
]
/** Where the tests lie in the guest. */
const PROGRAMS = '/programs'
/** What some packages still call in a module; by a name that no module of ours imports. */
const REQUIRE =
  "import { createRequire as requireOf } from 'node:module'\nconst require = requireOf(import.meta.url)"
const FOLDERS = ['bin', 'dev', 'proc', 'sys', 'run', 'scratch', 'etc/lvm']
const SPARE_BYTES = 16 << 20

/**
 * Writes an ext4 image to `disk`, with the help of an empty folder.
 *
 * @param programs modules of this repository, in the guest found by `programInGuest`.
 */
export async function makeGuestDisk(
  folder: string,
  disk: string,
  programs: readonly string[],
): Promise<void> {
  for (const name of FOLDERS) mkdirSync(join(folder, name), { recursive: true })
  for (const program of [process.execPath, ...TOOLS.map(findTool)])
    copyWithLibraries(program, folder)
  for (const tool of TOOLS) symlinkSync(findTool(tool), join(folder, 'bin', tool))
  await bundle(programs, join(folder, PROGRAMS))
  const bytes = Number(execFileSync('du', ['-sb', folder]).toString().split('\t')[0])
  writeFileSync(disk, '')
  truncateSync(disk, Math.ceil((bytes * 1.1 + SPARE_BYTES) / 4096) * 4096)
  const options = ['-q', '-F', '-O', '^has_journal', '-m', '0', '-d', folder]
  execFileSync('mkfs.ext4', [...options, disk], { stdio: ['ignore', 'ignore', 'pipe'] })
}

export const programInGuest = (program: string): string =>
  join(PROGRAMS, basename(program).replace(/\.ts$/, '.mjs'))

/** Each a file of its own: an emulated Node takes half a minute to find and read the 800 they are made of. */
async function bundle(programs: readonly string[], outdir: string): Promise<void> {
  await build({
    ...{ entryPoints: [...programs], outdir, bundle: true, logLevel: 'warning' },
    ...{ platform: 'node', format: 'esm', target: 'node26', banner: { js: REQUIRE } },
    ...{ entryNames: '[name]', outExtension: { '.js': '.mjs' } },
  })
}

export function findTool(name: string): string {
  const places = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].map((place) => join(place, name))
  const found = places.find((place) => existsSync(place))
  if (found === undefined) throw new Error(`${name} is missing: npm run setup`)
  return found
}

/** Links are followed: what lies there is a file of its own, at both names. */
function copyWithLibraries(program: string, folder: string): void {
  copy(program, folder)
  const libraries = execFileSync('ldd', [realpathSync(program)]).toString()
  for (const [path] of libraries.matchAll(/\/\S+\.so\S*/g)) copy(path, folder)
}

function copy(path: string, folder: string): void {
  const target = join(folder, path)
  if (existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  execFileSync('cp', ['--recursive', '--dereference', '--reflink=auto', path, target])
}
