import { createHash } from 'node:crypto'
import type { MachineId } from '#base'

/** Ids above those of containers that systemd makes, which end at 0x6fff_ffff. Source: systemd, UIDS-GIDS. */
const FIRST = 0x7000_0000
const COUNT = 0x0fff_0000

/**
 * The user and group that a machine's QEMU runs as: derived, so that nothing has to be kept. Two of a
 * thousand machines share one in a case of 500; each still has its own root, pid namespace and folder.
 */
export function userIdOf(id: MachineId): number {
  return FIRST + (createHash('sha256').update(id).digest().readUInt32BE(0) % COUNT)
}
