/**
 * For tests: the disk of a guest that runs our own tests on another kernel. Node, the sources and the
 * packages they import, LVM's tools, and the libraries of all of these, where they are on the host.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')
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
const PARTS = ['base', 'volume']
const FOLDERS = ['bin', 'dev', 'proc', 'sys', 'run', 'scratch', 'etc/lvm']
const SPARE_BYTES = 64 << 20

/** Writes an ext4 image to `disk`, with the help of an empty folder. Sources lie at the same path as here. */
export function makeGuestDisk(folder: string, disk: string): void {
  for (const name of FOLDERS) mkdirSync(join(folder, name), { recursive: true })
  const programs = [process.execPath, ...TOOLS.map(findTool)]
  for (const program of programs) copyWithLibraries(program, folder)
  for (const tool of TOOLS) symlinkSync(findTool(tool), join(folder, 'bin', tool))
  const sources = [
    ...['package.json', ...PARTS.map((part) => `src/${part}`)].map((name) => join(ROOT, name)),
    ...packageFolders(),
  ]
  for (const source of sources) copy(source, folder)
  const bytes = Number(execFileSync('du', ['-sb', folder]).toString().split('\t')[0])
  writeFileSync(disk, '')
  truncateSync(disk, Math.ceil((bytes * 1.2 + SPARE_BYTES) / 4096) * 4096)
  const options = ['-q', '-F', '-O', '^has_journal', '-m', '0', '-d', folder]
  execFileSync('mkfs.ext4', [...options, disk], { stdio: ['ignore', 'ignore', 'pipe'] })
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

function packageFolders(): string[] {
  const found = new Set<string>()
  const names = importedPackages()
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    const folder = join(ROOT, 'node_modules', name)
    if (found.has(folder)) continue
    found.add(folder)
    const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    names.push(...Object.keys(dependencies))
  }
  return [...found]
}

/** What the sources of those parts import from packages. */
function importedPackages(): string[] {
  const files = PARTS.flatMap((part) => globSync(join(ROOT, 'src', part, '**/*.ts')))
  const names = files.flatMap((file) => {
    const imports = readFileSync(file, 'utf8').matchAll(
      /^(?:import|export|\}) .*from '((?:@[^/']+\/)?\w[^/':]*)[/']/gm,
    )
    return [...imports].flatMap(([, name]) => name ?? [])
  })
  return [...new Set(names)]
}
