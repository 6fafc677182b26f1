/** Modules of the Linux kernel: what they depend on, and an order in which they load. Pure. */

/**
 * The names that a module file says it needs. Source: the kernel's include/linux/module.h: section
 * .modinfo holds texts KEY=VALUE, each ended by a zero byte.
 */
export function moduleDependencies(file: Buffer): string[] {
  const key = Buffer.from('\0depends=')
  const at = file.indexOf(key)
  if (at < 0) return []
  const start = at + key.length
  const text = file.subarray(start, file.indexOf(0, start)).toString()
  return text.split(',').filter(Boolean)
}

/** The wanted ones and all that they need, what is needed first. */
export function orderModules(
  wanted: readonly string[],
  dependsOn: (name: string) => readonly string[],
): string[] {
  const order: string[] = []
  const visit = (name: string) => {
    if (order.includes(name)) return
    for (const needed of dependsOn(name)) visit(needed)
    order.push(name)
  }
  for (const name of wanted) visit(name)
  return order
}
