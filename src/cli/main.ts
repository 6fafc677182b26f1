/**
 * `godwit`: each command is a file that exports one function returning its commander Command, and has
 * a line in commands.ts; this file runs the one asked for, and turns errors into what the user sees.
 *
 * Exit codes: 0 done, 1 failed, 2 the command line is wrong, 69 not possible on this machine,
 * 75 try again later, 77 root is needed.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { ApiInputError } from './api/input-error.ts'
import { commandsFor } from './commands.ts'
import { describeError } from './fault.ts'
import { insteadOf } from './flyctl-verbs.ts'
import { withoutGoFlags } from './go-flags.ts'

const USAGE_EXIT_CODE = 2

const version = readVersion()
const program = new Command('godwit')
  .description('Run OCI images as microVMs in many regions behind one anycast address.')
  .version(version, '-v, --version')
  .enablePositionalOptions()
  .addHelpText(
    'after',
    `
Examples:
  $ godwit doctor              what this machine can do, and what is missing
  $ godwit run --rm -it debian:12 bash
  $ godwit planet up --whoami  a world of three regions on this machine
  $ godwit planet status

Exit codes:
  0 done, 1 failed, 2 wrong command line, 69 not possible on this machine, 75 try again later,
  77 root is needed
`,
  )

for (const command of await commandsFor(ownArguments(process.argv.slice(2)), version)) {
  program.addCommand(command)
}
exitByThrowing(program)
process.stdout.on('error', endWhenNobodyReads)

try {
  await parse(process.argv.slice(2))
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE_EXIT_CODE // commander has said why
  } else {
    const json = ownArguments(process.argv).includes('--json')
    const ending = describeError(error, { json, debug: process.env['GODWIT_DEBUG'] === '1' })
    process.stdout.write(ending.stdout)
    process.stderr.write(ending.stderr)
    const isUsage = error instanceof ApiInputError && error.code === 'cli.no_command'
    process.exitCode = isUsage ? USAGE_EXIT_CODE : ending.exitCode
  }
}

/** Of somebody who knows flyctl, too. */
async function parse(args: readonly string[]): Promise<void> {
  const words = ownArguments(args).filter((word) => !word.startsWith('-'))
  const instead = insteadOf(words)
  if (instead !== undefined) {
    const { verb, fix } = instead
    throw new ApiInputError('cli.no_command', { what: `godwit has no \`${verb}\``, fix })
  }
  await program.parseAsync(withoutGoFlags(args, program), { from: 'user' })
}

/** Commander ends the process by itself otherwise, and always with 1. */
function exitByThrowing(command: Command, path: string = command.name()): void {
  command.exitOverride().showHelpAfterError(`fix: \`${path} --help\` shows what it takes`)
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    exitByThrowing(child, `${path} ${child.name()}`)
  }
}

/** `godwit planet status | head -3` is no failure. */
function endWhenNobodyReads(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error
  process.exit()
}

/** What stands behind `--` belongs to a program that we run, as in `planet exec`. */
function ownArguments(given: readonly string[]): readonly string[] {
  const dashes = given.indexOf('--')
  return dashes < 0 ? given : given.slice(0, dashes)
}

function readVersion(): string {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8')
  return JSON.parse(text).version
}
