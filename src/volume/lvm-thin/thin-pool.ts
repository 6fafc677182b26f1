import { VolumeError } from '../errors.ts'
import { groupTags, logicalVolumes, lvm } from './lvm.ts'

/** What is shared, copied and discarded as one: small enough for the random writes of guests. */
export const CHUNK_BYTES = 64 << 10

export interface ThinPoolOptions {
  /** Name of the volume group. */
  readonly group: string
  /** Name of the thin pool in it; made of most of the group when it is missing. */
  readonly pool: string
  /** Block devices to make the group of when it is missing. They must be blank. */
  readonly devices?: readonly string[]
  /**
   * What happens to writes when the pool is full: `wait` up to a minute for an operator who makes it larger,
   * or `fail`. @default wait
   */
  readonly whenFull?: 'wait' | 'fail'
}

const OWN_TAG = 'godwit'
const NAME = /^[a-z0-9][a-z0-9-]{0,30}$/

/** Makes what is missing, and activates the pool. Runs again after it died anywhere. @throws VolumeError */
export async function ensureThinPool(
  { group, pool, devices = [], whenFull = 'wait' }: ThinPoolOptions,
  signal?: AbortSignal,
): Promise<void> {
  if (![group, pool].every((name) => NAME.test(name))) throw badName(group, pool)
  let tags = await groupTags(group, signal)
  if (tags === undefined) {
    if (devices.length === 0) throw missing(group)
    await lvm('vgcreate', ['--addtag', OWN_TAG, group, ...devices], signal)
    tags = [OWN_TAG]
  }
  const [there] = await logicalVolumes(group, `lv_name=${pool}`, signal)
  if (there === undefined) {
    // Without a pool there are no devices: what is in our own group is what its making left when it died.
    if (tags.includes(OWN_TAG)) await lvm('lvremove', ['--force', group], signal)
    await makePool(group, pool, signal)
  }
  const [made] = await logicalVolumes(group, `lv_name=${pool}`, signal)
  const isFailing = made?.whenFull === 'error'
  if (isFailing !== (whenFull === 'fail')) {
    await lvm('lvchange', ['--errorwhenfull', isFailing ? 'n' : 'y', `${group}/${pool}`], signal)
  }
  await lvm('lvchange', ['--activate', 'y', `${group}/${pool}`], signal)
}

/** Some of the group stays free, for metadata that must grow or be mended. */
async function makePool(group: string, pool: string, signal?: AbortSignal): Promise<void> {
  const kind = ['--type', 'thin-pool', '--chunksize', `${CHUNK_BYTES}b`, '--discards', 'passdown']
  const words = ['--yes', '--name', pool, ...kind, '--extents', '95%FREE', group]
  await lvm('lvcreate', words, signal)
}

function missing(group: string): VolumeError {
  return new VolumeError('volume.pool_missing', {
    what: 'no such volume group',
    values: { group },
    fix: `make it of blank disks: vgcreate ${group} /dev/DISK`,
  })
}

function badName(group: string, pool: string): VolumeError {
  return new VolumeError('volume.id_bad', {
    what: 'not the name of a volume group or pool',
    values: { group, pool },
    fix: 'use 1 to 31 lower-case letters, digits and -, the first a letter or digit',
  })
}
