/** What the kernel says of a thin pool. Source: the kernel's Documentation/admin-guide/device-mapper/thin-provisioning.rst. */
import { VolumeError } from '../errors.ts'

export interface PoolStatus {
  /** Number of the last change that the kernel knows of. */
  readonly transaction: string
  readonly metadataUsedBlocks: number
  readonly metadataTotalBlocks: number
  readonly usedBlocks: number
  readonly totalBlocks: number
  readonly mode: 'rw' | 'ro' | 'out_of_data_space'
}

/**
 * @param text `start length thin-pool transaction used/total used/total held mode discards full check low`,
 *   or `start length thin-pool Fail`.
 * @throws VolumeError volume.pool_broken
 */
export function parsePoolStatus(text: string, pool: string): PoolStatus {
  const words = text.trim().split(/\s+/)
  const [, , target, transaction = '', metadata = '', data = ''] = words
  const [metadataUsed, metadataTotal] = metadata.split('/').map(Number)
  const [used, total] = data.split('/').map(Number)
  const mode = (['rw', 'ro', 'out_of_data_space'] as const).find((one) => words.includes(one, 6))
  const isWhole = target === 'thin-pool' && mode !== undefined && total !== undefined
  if (!isWhole || used === undefined || metadataUsed === undefined || metadataTotal === undefined) {
    throw broken(pool, text)
  }
  if (mode === 'ro' || words.includes('needs_check')) throw broken(pool, text)
  return {
    transaction,
    ...{ metadataUsedBlocks: metadataUsed, metadataTotalBlocks: metadataTotal },
    ...{ usedBlocks: used, totalBlocks: total, mode },
  }
}

export function broken(pool: string, text: string): VolumeError {
  return new VolumeError('volume.pool_broken', {
    what: 'the thin pool does not work',
    values: { pool, status: text.trim() },
    fix: `stop its machines, then: lvchange -an ${pool}; lvconvert --repair ${pool}; lvchange -ay ${pool}`,
  })
}

/**
 * The pool's own device among all: it lies a layer deeper once it has had an active volume.
 *
 * @param text of `dmsetup status --target thin-pool`: lines of `NAME: status`.
 * @throws VolumeError volume.pool_broken when it is not active.
 */
export function findPool(
  text: string,
  { group, pool }: { readonly group: string; readonly pool: string },
): { readonly name: string; readonly status: string } {
  const names = [mapperName(group, pool, 'tpool'), mapperName(group, pool)]
  for (const line of text.split('\n')) {
    const [name = '', status] = line.split(': ')
    if (status !== undefined && names.includes(name)) return { name, status }
  }
  throw broken(`${group}/${pool}`, 'not active')
}

/** Of a logical volume. Source: libdevmapper, dm_build_dm_name. */
export function mapperName(group: string, volume: string, layer = ''): string {
  const escaped = [group, volume].map((name) => name.replaceAll('-', '--')).join('-')
  return layer === '' ? escaped : `${escaped}-${layer}`
}
