import { randomBytes } from 'node:crypto'
import { errorCode } from '#base'
import { resumeSuspended, suspendActive } from './mapped-devices.ts'
import { broken } from './pool-status.ts'

/** A pool whose lock is held. */
export interface PoolInHand {
  /** GROUP/POOL. */
  readonly path: string
  /** Whether the kernel has heard of LVM's last change. */
  readonly isAgreed: (signal?: AbortSignal) => Promise<boolean>
  /** Names in the device mapper of the pool's own devices, the lower ones first. */
  readonly devices: readonly string[]
  readonly volumeDevices: (signal?: AbortSignal) => Promise<readonly string[]>
  /** The kernel loses the volumes that LVM has still to tell it to make. */
  readonly dropHalfMade: (signal?: AbortSignal) => Promise<unknown>
  /** A small empty volume. `t.*` that are left are swept at the next open. */
  readonly make: (name: string, signal?: AbortSignal) => Promise<unknown>
  readonly remove: (name: string, signal?: AbortSignal) => Promise<unknown>
}

/**
 * Mends what a command of LVM that was killed has left. The kernel may not have heard of a volume: LVM tells it when the next one
 * is made. It may have been told to make the volume and not that it is made: it loses the volume, and is told anew. Devices may be
 * suspended, whose users hang; and LVM takes an origin that is suspended for one whose copy the kernel knows, and then the two
 * disagree for good. All volumes rest while the kernel is told, for a copy must not be made of one that is being written.
 *
 * @throws VolumeError volume.pool_broken, volume.tool_failed
 */
export async function mendPool(pool: PoolInHand, signal?: AbortSignal): Promise<void> {
  const disagree = () => broken(pool.path, 'LVM and the kernel disagree about its last change')
  try {
    await resumeSuspended(pool.devices) // a volume comes to rest when its writes are done
    if (await pool.isAgreed(signal)) return
    await suspendActive(await pool.volumeDevices(signal), signal)
    await pool.dropHalfMade(signal)
    const name = `t.mend-${randomBytes(4).toString('hex')}` // a process that died here has left another
    await pool.make(name, signal).catch((cause) => {
      throw errorCode(cause) === 'volume.tool_failed' ? disagree() : cause
    })
    if (!(await pool.isAgreed(signal))) throw disagree()
    await pool.remove(name, signal)
  } finally {
    await resumeSuspended([...pool.devices, ...(await pool.volumeDevices())])
  }
}
