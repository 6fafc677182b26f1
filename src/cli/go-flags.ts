import type { Command } from 'commander'

/**
 * A command line as commander reads it, of one as flyctl's users write it: `--ha=false` is `--no-ha`, `--ha=true` is
 * `--ha`. Only of flags that take no value in any command that is loaded.
 *
 * @param args without what stands behind `--`
 */
export function withoutGoFlags(args: readonly string[], program: Command): string[] {
  const { plain, negated, valued } = flagsOf(program)
  const dashes = args.indexOf('--')
  return args.flatMap((word, at) => {
    const [, name = '', value] = /^--([a-z][a-z-]*)=(true|false)$/.exec(word) ?? []
    const isOurs = dashes < 0 || at < dashes
    if (value === undefined || !isOurs || valued.has(name)) return [word]
    if (!plain.has(name) && !negated.has(name)) return [word] // commander says that it is unknown
    const isOn = value === 'true'
    if (isOn) return plain.has(name) ? [`--${name}`] : []
    return negated.has(name) ? [`--no-${name}`] : []
  })
}

function flagsOf(program: Command) {
  const flags = { plain: new Set<string>(), negated: new Set<string>(), valued: new Set<string>() }
  const visit = (command: Command): void => {
    for (const { long, negate, required, optional } of command.options) {
      if (typeof long !== 'string') continue
      if (negate) flags.negated.add(long.slice('--no-'.length))
      else if (required || optional) flags.valued.add(long.slice(2))
      else flags.plain.add(long.slice(2))
    }
    for (const child of command.commands) visit(child)
  }
  visit(program)
  return flags
}
