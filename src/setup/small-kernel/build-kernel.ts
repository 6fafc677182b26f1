/**
 * The small kernel of virtual machines, `build/small-kernel/vmlinux`: Debian's linux-source with the
 * options of native/kernel/config and no others. It has what machines need built in, and takes
 * minutes of all processors to build; so nobody builds it unasked.
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Apt, askApt } from '../apt.ts'
import { lastLine, mustRun } from '../command.ts'
import { SetupError } from '../errors.ts'
import type { AptPackage } from '../packages.ts'
import type { Piece } from '../piece.ts'
import { missingOptions } from './kernel-config.ts'

export const SOURCE_PACKAGE = 'linux-source-6.1'
const UNPACK_DEADLINE_MS = 600_000
const CONFIGURE_DEADLINE_MS = 120_000

/** Beyond what set-up needs. */
export const buildPackages: readonly AptPackage[] = [
  { name: 'make', proof: 'make', why: 'builds the kernel' },
  { name: 'gcc', proof: 'gcc', why: 'compiles it' },
  { name: 'flex', proof: 'flex', why: 'makes the reader of its configuration' },
  { name: 'bison', proof: 'bison', why: 'makes the grammar of its configuration' },
  { name: 'bc', proof: 'bc', why: 'computes its time constants' },
  { name: 'libelf-dev', proof: '/usr/include/libelf.h', why: 'checks its object files' },
  { name: 'xz-utils', proof: 'xz', why: 'unpacks its source' },
]

export interface KernelBuild extends Apt {
  /** Called for each file that was compiled. */
  readonly progress: (compiled: number) => void
}

export function smallKernelPiece(configPath: string): Piece<KernelBuild> {
  return {
    name: 'small-kernel',
    why: 'the small kernel of virtual machines',
    inputs: () => ['layout 1', SOURCE_PACKAGE, readFileSync(configPath)],
    outputs: ['vmlinux', 'config'],
    async build(folder, build) {
      const source = await unpackSource(folder, build)
      await configure(source, configPath, build)
      await compile(source, build)
      const options = { signal: build.signal, deadlineMs: UNPACK_DEADLINE_MS, cwd: folder }
      await mustRun('objcopy', ['--strip-all', join(source, 'vmlinux'), 'vmlinux'], options)
      await mustRun('mv', [join(source, '.config'), 'config'], options)
      await mustRun('rm', ['-r', source], options)
    },
  }
}

async function unpackSource(folder: string, build: KernelBuild): Promise<string> {
  await askApt(build, 'apt-get', ['download', SOURCE_PACKAGE], folder)
  const options = { signal: build.signal, deadlineMs: UNPACK_DEADLINE_MS, cwd: folder }
  const archive = readdirSync(folder).find((name) => name.endsWith('.deb'))
  if (archive === undefined) throw failed('apt-get download left no file', {})
  await mustRun('dpkg-deb', ['--extract', archive, 'package'], options)
  const tar = join('package/usr/src', `${SOURCE_PACKAGE}.tar.xz`)
  await mustRun('tar', ['--extract', '--file', tar], options)
  await mustRun('rm', ['-r', archive, 'package'], options)
  return join(folder, SOURCE_PACKAGE)
}

async function configure(source: string, configPath: string, { signal }: KernelBuild) {
  const options = { signal, deadlineMs: CONFIGURE_DEADLINE_MS, cwd: source }
  const env = { KCONFIG_ALLCONFIG: configPath }
  await mustRun('make', ['allnoconfig'], { ...options, env })
  const got = readFileSync(join(source, '.config'), 'utf8')
  const missing = missingOptions(readFileSync(configPath, 'utf8'), got)
  if (missing.length > 0) throw failed('the source does not grant options', { missing })
}

/** At the lowest priority: whoever works on this machine meanwhile comes first. */
async function compile(source: string, { signal, progress }: KernelBuild): Promise<void> {
  const args = ['-n', '19', 'make', `-j${availableParallelism()}`, 'vmlinux']
  const child = spawn('nice', args, { cwd: source, signal, stdio: ['ignore', 'pipe', 'pipe'] })
  const exit = Promise.withResolvers<number | null>()
  child.on('error', exit.reject)
  child.on('close', exit.resolve)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000)
  })
  let compiled = 0
  for await (const line of createInterface({ input: child.stdout })) {
    if (!/^ {2}(CC|AS) /.test(line)) continue
    compiled += 1
    progress(compiled)
  }
  const exitCode = await exit.promise
  if (exitCode !== 0) throw failed('the compiler failed', { exitCode, said: lastLine(said) })
}

function failed(why: string, values: Record<string, unknown>): SetupError {
  return new SetupError('setup.build_failed', {
    what: 'the small kernel cannot be built',
    values: { why, ...values },
    fix: "machines go on with Debian's kernel",
  })
}
