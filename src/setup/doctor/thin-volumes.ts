import { readFile } from 'node:fs/promises'
import { release } from 'node:os'
import type { Probe } from './probe.ts'

/** LVM thin pools: the kernel's dm-thin-pool, loaded, built in, or there to be loaded. */
export const thinVolumes: Probe = {
  name: 'LVM thin volumes',
  required: false,
  needsRoot: false,
  deadlineMs: 2_000,
  async examine() {
    const modules = `/lib/modules/${release()}`
    const lists = ['/proc/modules', `${modules}/modules.builtin`, `${modules}/modules.dep`]
    const found = await Promise.all(lists.map(namesThinPool))
    if (found.some(Boolean)) return { state: 'ok', detail: 'the kernel has dm-thin-pool' }
    return {
      state: 'missing',
      detail: 'the kernel has no dm-thin-pool',
      consequence: 'volumes are files with reflinks, not thin logical volumes',
      fix: "use a kernel with CONFIG_DM_THIN_PROVISIONING (Debian's has it)",
    }
  },
}

async function namesThinPool(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => '') // a kernel without modules has no list
  return /dm[-_]thin[-_]pool/.test(text)
}
