/**
 * The eBPF programs of the private network, `build/bpf/network.o`, from native/bpf: one object for every
 * kernel. Debian keeps <asm/types.h> in a folder of the architecture's own.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Apt } from './apt.ts'
import { firstError, runCommand } from './command.ts'
import { SetupError } from './errors.ts'
import type { Architecture } from './packages.ts'
import type { Piece } from './piece.ts'

const COMPILE_DEADLINE_MS = 120_000

export function networkProgramsPiece(source: string, architecture: Architecture): Piece<Apt> {
  const sources = () =>
    readdirSync(source)
      .filter((file) => /\.[ch]$/.test(file))
      .sort()
  return {
    name: 'bpf',
    why: 'the programs that keep machines apart, from native/bpf',
    inputs: () => [
      ...compilerFlags(architecture),
      ...sources().flatMap((file) => [file, readFileSync(join(source, file))]),
    ],
    outputs: ['network.o'],
    async build(folder, { signal }) {
      const object = join(folder, 'network.o')
      const args = [...compilerFlags(architecture), '-c', 'network.c', '-o', object]
      const options = { signal, deadlineMs: COMPILE_DEADLINE_MS, cwd: source }
      const { exitCode, stderr } = await runCommand('clang', args, options)
      if (exitCode === 0) return
      throw new SetupError('setup.build_failed', {
        what: 'the programs of the private network do not compile',
        values: { exitCode, said: firstError(stderr) },
        fix: 'npm run setup again; machines need them',
      })
    },
  }
}

function compilerFlags(architecture: Architecture): string[] {
  return [
    ...['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-Wall', '-Wextra', '-Werror'],
    `-I/usr/include/${architecture}-linux-gnu`,
  ]
}
