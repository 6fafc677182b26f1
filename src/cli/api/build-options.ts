import { type Command, Option } from 'commander'

/** Of flyctl's, about building; `true`: with a value. */
const BUILD = {
  'remote-only': false,
  'local-only': false,
  'build-only': false,
  buildkit: false,
  nixpacks: false,
  'no-cache': false,
  push: false,
  depot: true,
  'depot-scope': true,
  dockerfile: true,
  ignorefile: true,
  'build-arg': true,
  'build-secret': true,
  'build-target': true,
  'image-label': true,
  label: true,
} as const

/** Of flyctl's, that ask for what is so here. */
const GIVEN = ['-y, --yes', '--now', '--auto-confirm', '--copy-config', '--generate-name']

/**
 * Takes the options that scripts for flyctl give to `deploy` and `launch`: what is about building is told of and left
 * out, for nothing is built here.
 */
export function withBuildOptions(command: Command): Command {
  for (const [name, hasValue] of Object.entries(BUILD)) {
    const flag = `--${name}`
    if (command.options.some(({ long }) => long === flag)) continue
    command.addOption(new Option(hasValue ? `${flag} [value]` : flag).hideHelp())
  }
  for (const flags of GIVEN) command.addOption(new Option(flags).hideHelp())
  return command
}

export function warnOfBuildOptions(options: object): void {
  const given = Object.keys(BUILD).filter((name) => isGiven(options, name))
  if (given.length === 0) return
  const named = given.map((name) => `--${name}`).join(', ')
  process.stderr.write(
    `warning: nothing is built here, so ${named} ${given.length === 1 ? 'is' : 'are'} left out; --image says what runs\n`,
  )
}

function isGiven(options: object, name: string): boolean {
  const { camel, on } = name.startsWith('no-')
    ? { camel: camelCase(name.slice('no-'.length)), on: false }
    : { camel: camelCase(name), on: true }
  const value: unknown = Reflect.get(options, camel)
  return on ? value !== undefined : value === false
}

const camelCase = (name: string) =>
  name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
