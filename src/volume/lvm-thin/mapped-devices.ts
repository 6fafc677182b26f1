import { dmsetup } from './lvm.ts'

/** Writes to them wait from now on, and those under way are done. @throws VolumeError volume.tool_failed */
export async function suspendActive(names: readonly string[], signal?: AbortSignal): Promise<void> {
  for (const name of await inState(names, 'Active')) await dmsetup(['suspend', name], signal)
}

/** With no signal: whoever uses one hangs. @throws VolumeError volume.tool_failed */
export async function resumeSuspended(names: readonly string[]): Promise<void> {
  for (const name of await inState(names, 'Suspended')) await dmsetup(['resume', name])
}

/** In the order given. Source: dmsetup(8), the field `suspended`. */
async function inState(names: readonly string[], state: 'Active' | 'Suspended'): Promise<string[]> {
  const words = ['info', '-c', '--noheadings', '--separator', ' ', '-o', 'name,suspended']
  const lines = (await dmsetup(words)).split('\n').map((line) => line.trim())
  return names.filter((name) => lines.includes(`${name} ${state}`))
}
