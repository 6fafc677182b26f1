import { measureCatchUp } from './corrosion/catch-up.ts'
import { measureCluster } from './corrosion/cluster.ts'
import { measureWrites } from './corrosion/local-writes.ts'
import { measureMerge } from './corrosion/merge.ts'
import { openScratch } from './corrosion/scratch-folder.ts'
import type { Bench } from './figures.ts'

const CATCH_UP_CHANGES = 1_000_000

/**
 * The store beside plain node:sqlite, with equal SQL and pragmas, interleaved. Then whole agents, each a process
 * of its own that speaks QUIC on loopback: they have no peer here but the machine and a bare Node process.
 */
export const bench: Bench = {
  name: 'corrosion',
  summary: 'writes and merges beside plain SQLite, a cluster of five, and catching up',
  async run(progress) {
    using folder = openScratch()
    return [
      ...measureWrites(folder.path, progress),
      ...measureMerge(folder.path, progress),
      ...(await measureCluster(folder.path, progress)),
      ...(await measureCatchUp(folder.path, CATCH_UP_CHANGES, progress)),
    ]
  },
}
