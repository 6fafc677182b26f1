import { generateClusterCa } from '#trust'
import type { Figure } from '../figures.ts'
import { startAgent } from './agent-handle.ts'
import { memoryOf, resetPeak } from './process-memory.ts'
import { CHANGES_PER_ROW } from './table.ts'

const ROWS_PER_VERSION = 20
const CHANGES_PER_VERSION = ROWS_PER_VERSION * CHANGES_PER_ROW

/** A new node joins one that has `changes` changes, and asks for all of them. */
export async function measureCatchUp(
  folder: string,
  changes: number,
  progress: (step: string) => void,
): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack()
  const versions = Math.ceil(changes / CHANGES_PER_VERSION)
  const ca = await generateClusterCa()
  progress(`${versions} versions are written`)
  const source = stack.use(await startAgent({ name: 'source', folder, ca, bootstrap: [] }))
  const head = await source.ask('fill', { versions, rowsPerVersion: ROWS_PER_VERSION })
  const bootstrap = [source.address]
  progress('a new node catches up')
  const fresh = stack.use(await startAgent({ name: 'fresh', folder, ca, bootstrap }))
  resetPeak(source.pid)
  const sourceCpuUs = await source.ask('cpuUs')
  if (source.actor === undefined) throw new Error('the source has no id')
  const { firstMs, allMs, rows } = await fresh.ask('catchUp', { actor: source.actor, head })
  if (rows !== versions * ROWS_PER_VERSION) throw new Error(`only ${rows} rows came`)
  const perSecond = 1_000 / (allMs - firstMs)
  return [
    {
      key: 'catch_up_rows_per_s',
      value: versions * ROWS_PER_VERSION * perSecond,
      what: `rows of ${CHANGES_PER_ROW} changes, ${ROWS_PER_VERSION} a version, first to last`,
      better: 'higher',
    },
    {
      key: 'catch_up_changes_per_s',
      value: versions * CHANGES_PER_VERSION * perSecond,
      what: `the same in changes; ${versions * CHANGES_PER_VERSION} of them`,
      better: 'higher',
    },
    { key: 'catch_up_ms', value: allMs, what: 'from its start to the last', better: 'lower' },
    {
      key: 'catch_up_peak_mib',
      value: memoryOf(fresh.pid).peakMib,
      what: 'resident at most, the new node',
      better: 'lower',
    },
    {
      key: 'catch_up_source_peak_mib',
      value: memoryOf(source.pid).peakMib,
      what: 'resident at most, the node that serves',
      better: 'lower',
    },
    {
      key: 'catch_up_source_cpu_ms',
      value: ((await source.ask('cpuUs')) - sourceCpuUs) / 1_000,
      what: 'CPU of the node that serves',
      better: 'lower',
    },
    {
      key: 'catch_up_cpu_ms',
      value: (await fresh.ask('cpuUs')) / 1_000,
      what: 'CPU of the new node, its start included',
      better: 'lower',
    },
  ]
}
