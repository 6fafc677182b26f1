import { runTool } from '../run-tool.ts'
import { dmsetup } from './lvm.ts'
import { findPool, mapperName } from './pool-status.ts'

export interface ThinUsage {
  readonly mappedBlocks: number
  /** Those that no other device has. */
  readonly exclusiveBlocks: number
}

/**
 * What each device of an active pool takes, by its number within the pool; read from a snapshot of the
 * metadata while the pool goes on. One caller at a time. Source: thin_ls(8).
 */
export async function readThinUsage(
  group: string,
  pool: string,
  signal?: AbortSignal,
): Promise<ReadonlyMap<number, ThinUsage>> {
  const all = await dmsetup(['status', '--target', 'thin-pool'], signal)
  const { name: target, status } = findPool(all, { group, pool })
  // Held by a process that died. Source: thin-provisioning.rst, the held root in the status of a pool.
  if (status.trim().split(/\s+/)[6] !== '-') await dmsetup(message(target, 'release'), signal)
  await dmsetup(message(target, 'reserve'), signal)
  try {
    const metadata = `/dev/mapper/${mapperName(group, `${pool}_tmeta`)}`
    const format = ['--no-headers', '--format', 'DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS']
    const { stdout } = await runTool('thin_ls', ['--metadata-snap', ...format, metadata], {
      signal,
    })
    return parseThinUsage(stdout)
  } finally {
    await dmsetup(message(target, 'release'))
  }
}

const message = (target: string, verb: 'reserve' | 'release') =>
  ['message', target, '0', `${verb}_metadata_snap`] as const

export function parseThinUsage(text: string): ReadonlyMap<number, ThinUsage> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const numbers = line.trim().split(/\s+/).map(Number)
      const [device, mappedBlocks, exclusiveBlocks] = numbers
      if (device === undefined || mappedBlocks === undefined || exclusiveBlocks === undefined)
        return []
      return [[device, { mappedBlocks, exclusiveBlocks }] as const]
    }),
  )
}
