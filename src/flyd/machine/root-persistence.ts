import type { MachineConfigJson } from '../machine-json.ts'

export type RootPersistence = 'never' | 'restart' | 'always'

const byNumber: readonly RootPersistence[] = ['never', 'never', 'restart', 'always']

/**
 * `rootfs.persist`, or the older `guest.persist_rootfs`; a word, or its number in the client's own order
 * (unset, never, restart, always). @default never
 */
export function persistOf(config: MachineConfigJson): RootPersistence {
  const { persist } = (config['rootfs'] ?? {}) as { persist?: unknown }
  const { persist_rootfs: older } = (config.guest ?? {}) as { persist_rootfs?: unknown }
  const value = persist ?? older
  if (typeof value === 'number') return byNumber[value] ?? 'never'
  return value === 'restart' || value === 'always' ? value : 'never'
}

/** Over a stop and a start. */
export const keepsRoot = (config: MachineConfigJson): boolean => persistOf(config) !== 'never'
