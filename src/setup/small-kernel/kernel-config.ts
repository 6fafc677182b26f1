/** The configuration of a kernel: what a fragment asks for, and what it got. Pure. */

/** `CONFIG_X=value` lines; comments and empty ones count for nothing. */
function optionsOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('CONFIG_'))
}

/**
 * Options of the fragment that the configuration does not have: unknown to this source, or kept out by
 * what they depend on. The kernel's own tools pass over them in silence.
 */
export function missingOptions(fragment: string, configuration: string): string[] {
  const granted = new Set(optionsOf(configuration))
  return optionsOf(fragment).filter((option) => !granted.has(option))
}
