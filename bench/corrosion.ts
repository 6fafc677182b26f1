import { measureCatchUp } from './corrosion/catch-up.ts'
import { measureCluster } from './corrosion/cluster.ts'
import { measureWrites } from './corrosion/local-writes.ts'
import { measureMerge } from './corrosion/merge.ts'
import { openScratch } from './corrosion/scratch-folder.ts'
import type { Bench } from './figures.ts'

export const bench: Bench = {
  name: 'corrosion',
  summary: 'writes, merges, a cluster of five, and catching up',
  async run(progress) {
    using folder = openScratch()
    const only = process.env['ONLY'] ?? 'abmc'
    return [
      ...only.includes('a') ? measureWrites(folder.path, progress) : [],
      ...only.includes('m') ? measureMerge(folder.path, progress) : [],
      ...only.includes('b') ? (await measureCluster(folder.path, progress)): [],
      ...only.includes('c') ? (await measureCatchUp(folder.path, Number(process.env['N'] ??  200_000), progress)): [],
    ]
  },
}
