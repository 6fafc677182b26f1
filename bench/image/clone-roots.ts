import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseDeviceId, ReflinkDriver } from '#volume'
import { type Figure, median } from '../figures.ts'

const MIB = 2 ** 20
const ROUNDS = 40
const SIZES_MIB = { small: 32, large: 1024 } as const
const POOL_BYTES = 8 * 2 ** 30

/**
 * The root file system of a machine is a clone of its image's. Both bases are full of bytes; the clones of
 * each are made in turn and removed at once.
 */
export async function measureClones(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-clone-'))
  const driver = await ReflinkDriver.open({ folder, poolBytes: POOL_BYTES, isBounded: true })
  try {
    const costs = { small: [] as number[], large: [] as number[] }
    const kinds = ['small', 'large'] as const
    for (const kind of kinds) await makeBase(driver, kind)
    const clone = parseDeviceId('clone')
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const kind of kinds) {
        const startedMs = performance.now()
        await driver.clone(clone, parseDeviceId(kind))
        costs[kind].push(performance.now() - startedMs)
        await driver.remove(clone)
      }
    }
    return figuresOf(median(costs.small), median(costs.large))
  } finally {
    await driver.unmount()
    rmSync(folder, { recursive: true })
  }
}

async function makeBase(driver: ReflinkDriver, kind: keyof typeof SIZES_MIB): Promise<void> {
  const file = join(driver.sharedFolder, kind)
  const piece = Buffer.alloc(32 * MIB, 1)
  for (let done = 0; done < SIZES_MIB[kind] * MIB; done += piece.length) {
    writeFileSync(file, piece, { flag: 'a', flush: true })
  }
  if (statSync(file).size !== SIZES_MIB[kind] * MIB) throw new Error('a base has the wrong size')
  await driver.importFile(parseDeviceId(kind), file)
}

function figuresOf(small: number, large: number): Figure[] {
  const cost = (key: string, value: number, what: string) =>
    ({ key, value, what, better: 'lower' }) satisfies Figure
  return [
    cost('clone_ms', small, `cloning a root of ${SIZES_MIB.small} MiB, until it is on disk`),
    cost('clone_large_ms', large, `the same of ${SIZES_MIB.large} MiB`),
    cost('ratio_clone_large_vs_small', large / small, 'clone time against size: 1 is flat'),
  ]
}
