/**
 * The guest's init, `build/init/init`: one static binary from native/init, for every runtime. Kernel
 * headers come from the compiler's own folders, after musl's: glibc's are never seen.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Apt } from './apt.ts'
import { firstError, runCommand } from './command.ts'
import { SetupError } from './errors.ts'
import type { Architecture } from './packages.ts'
import type { Piece } from './piece.ts'

const COMPILE_DEADLINE_MS = 120_000

export function guestInitPiece(source: string, architecture: Architecture): Piece<Apt> {
  return {
    name: 'init',
    why: "the guest's init, from native/init",
    inputs: () => [
      ...compilerFlags(architecture),
      ...sourceFiles(source, /\.[ch]$/).flatMap((file) => [file, readFileSync(join(source, file))]),
    ],
    outputs: ['init'],
    async build(folder, { signal }) {
      const files = sourceFiles(source, /\.c$/)
      const args = [...compilerFlags(architecture), ...files, '-o', join(folder, 'init')]
      const options = { signal, deadlineMs: COMPILE_DEADLINE_MS, cwd: source }
      const { exitCode, stderr } = await runCommand('musl-gcc', args, options)
      if (exitCode === 0) return
      throw new SetupError('setup.build_failed', {
        what: "the guest's init does not compile",
        values: { exitCode, said: firstError(stderr) },
        fix: 'npm run setup again; machines need it',
      })
    },
  }
}

function compilerFlags(architecture: Architecture): string[] {
  return [
    ...['-std=gnu11', '-D_GNU_SOURCE', '-Os', '-static', '-s', '-fstack-protector-strong'],
    ...['-Wall', '-Wextra', '-Wshadow', '-Werror'],
    ...['-idirafter', '/usr/include', '-idirafter', `/usr/include/${architecture}-linux-gnu`],
  ]
}

const sourceFiles = (folder: string, pattern: RegExp) =>
  readdirSync(folder)
    .filter((file) => pattern.test(file))
    .sort()
