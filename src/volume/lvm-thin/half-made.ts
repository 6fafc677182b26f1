import { readFile, rm } from 'node:fs/promises'
import { VolumeError } from '../errors.ts'
import { dmsetup, logicalVolumes, lvm } from './lvm.ts'
import { findPool, parsePoolStatus } from './pool-status.ts'

/**
 * LVM notes that it is to tell the kernel of a new volume, tells it to make the volume, tells it that this was the pool's next
 * change, and takes its note back. Killed between the two messages it tells the kernel to make a volume that is there, whenever
 * it runs again; of a snapshot the kernel refuses that, and with it each change of the pool. So the kernel loses the volume,
 * whose making nobody was told of: LVM still has the note, and the kernel's last change is the one before the volume.
 * Source: lvm2, libdm/libdm-deptree.c, _thin_pool_node_send_messages.
 *
 * @param file where the group's metadata is written for a moment
 * @throws VolumeError volume.tool_failed, volume.pool_broken
 */
export async function dropHalfMade(
  { group, pool, file }: { readonly group: string; readonly pool: string; readonly file: string },
  signal?: AbortSignal,
): Promise<void> {
  const all = await dmsetup(['status', '--target', 'thin-pool'], signal)
  const { name: target, status } = findPool(all, { group, pool })
  const { transaction } = parsePoolStatus(status, `${group}/${pool}`)
  const queued = queuedCreates(await metadataOf(group, file, signal))
  for (const volume of await logicalVolumes(group, `pool_lv=${pool}`, signal)) {
    if (volume.transaction === transaction && queued.includes(volume.name))
      await deleteThin(target, volume.thinId, signal)
  }
}

async function metadataOf(group: string, file: string, signal?: AbortSignal): Promise<string> {
  try {
    await lvm('vgcfgbackup', ['--file', file, group], signal)
    return await readFile(file, 'utf8')
  } finally {
    await rm(file, { force: true })
  }
}

/** The volumes that LVM has still to tell the kernel of. @param text a group's metadata. Source: vgcfgbackup(8). */
export function queuedCreates(text: string): string[] {
  return [...text.matchAll(/\bmessage\d+\s*\{\s*create\s*=\s*"([^"]+)"/g)].flatMap(
    ([, name]) => name ?? [],
  )
}

/** Source: the kernel's thin-provisioning.rst, the message `delete`. */
async function deleteThin(target: string, thinId: number, signal?: AbortSignal): Promise<void> {
  try {
    await dmsetup(['message', target, '0', `delete ${thinId}`], signal)
  } catch (error) {
    const said = error instanceof VolumeError ? String(error.values['said']) : ''
    if (!said.includes('No data available')) throw error // ENODATA: it was not told to make it
  }
}
