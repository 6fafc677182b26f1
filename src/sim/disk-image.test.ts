import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { DiskImage } from './disk-image.ts'

const paths = ['a', 'b', 'dir/a', 'dir/b'] as const

type Step =
  | {
      readonly type: 'write'
      readonly path: string
      readonly offset: number
      readonly size: number
    }
  | { readonly type: 'truncate'; readonly path: string; readonly size: number }
  | { readonly type: 'rename'; readonly path: string; readonly to: string }
  | { readonly type: 'unlink' | 'fsync'; readonly path: string }
  | { readonly type: 'fsyncDirectory'; readonly path: '' | 'dir' }

const path = fc.constantFrom(...paths)
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant('write' as const),
      path,
      offset: fc.nat(1500),
      size: fc.nat(1500),
    }),
    fc.record({ type: fc.constant('truncate' as const), path, size: fc.nat(2000) }),
    fc.record({ type: fc.constant('rename' as const), path, to: path }),
    fc.record({ type: fc.constantFrom('unlink' as const, 'fsync' as const), path }),
    fc.record({
      type: fc.constant('fsyncDirectory' as const),
      path: fc.constantFrom('' as const, 'dir' as const),
    }),
  ),
  { maxLength: 30 },
)

/** Runs a step if its file exists. `fill` is the byte that it writes. */
function take(disk: DiskImage, step: Step, fill: number): void {
  if (step.type === 'write') {
    disk.write(step.path, step.offset, new Uint8Array(step.size).fill(fill))
  } else if (step.type === 'fsyncDirectory') disk.fsyncDirectory(step.path)
  else if (disk.size(step.path) === undefined) return
  else if (step.type === 'truncate') disk.truncate('t', step.path, step.size)
  else if (step.type === 'rename') disk.rename('r', step.path, step.to)
  else if (step.type === 'unlink') disk.unlink('u', step.path)
  else disk.fsync('f', step.path)
}

function takeAll(disk: DiskImage, list: readonly Step[]): void {
  for (const [at, step] of list.entries()) take(disk, step, at + 1)
}

const contents = (disk: DiskImage) =>
  Object.fromEntries(
    paths.filter((one) => disk.size(one) !== undefined).map((one) => [one, disk.read('read', one)]),
  )

test('with everything synced a power cut takes nothing, whatever was done before', () => {
  fc.assert(
    fc.property(steps, fc.integer(), (list, seed) => {
      const disk = new DiskImage()
      takeAll(disk, list)
      for (const one of Object.keys(contents(disk))) disk.fsync('f', one)
      disk.fsyncDirectory('')
      disk.fsyncDirectory('dir')
      const before = contents(disk)
      disk.crash(seededRandom(seed))
      assert.deepEqual(contents(disk), before)
    }),
  )
})

test('what was synced survives whatever is done to other files afterwards', () => {
  const touches = (step: Step, one: string) =>
    step.path === one || ('to' in step && step.to === one)
  fc.assert(
    fc.property(steps, steps, fc.integer(), (synced, unsynced, seed) => {
      const disk = new DiskImage()
      takeAll(disk, synced)
      for (const one of Object.keys(contents(disk))) disk.fsync('f', one)
      disk.fsyncDirectory('')
      disk.fsyncDirectory('dir')
      const before = contents(disk)
      takeAll(disk, unsynced)
      disk.crash(seededRandom(seed))
      const after = contents(disk)
      for (const one of paths) {
        if (unsynced.some((step) => touches(step, one))) continue
        assert.deepEqual(after[one], before[one], `${one} changed`)
      }
    }),
  )
})

test('what survives is explainable: every byte was written to that place, or is a hole', () => {
  fc.assert(
    fc.property(steps, fc.integer(), (list, seed) => {
      const disk = new DiskImage()
      takeAll(disk, list)
      disk.crash(seededRandom(seed))
      for (const bytes of Object.values(contents(disk))) {
        for (const [place, fill] of bytes.entries()) {
          const step = fill === 0 ? undefined : list[fill - 1]
          const isExplained =
            fill === 0 ||
            (step?.type === 'write' && place >= step.offset && place < step.offset + step.size)
          if (!isExplained) assert.fail(`byte ${fill} at ${place} came from nowhere`)
        }
      }
      const after = contents(disk)
      disk.crash(seededRandom(seed + 1))
      assert.deepEqual(contents(disk), after, 'what the boot found was not durable')
    }),
  )
})

/** The outcomes of a story over many power cuts. */
function outcomes(
  story: (disk: DiskImage) => void,
  look: (disk: DiskImage) => string,
): Set<string> {
  const seen = new Set<string>()
  for (let seed = 0; seed < 300; seed += 1) {
    const disk = new DiskImage()
    story(disk)
    disk.crash(seededRandom(seed))
    seen.add(look(disk))
  }
  return seen
}

const bytes = (...values: number[]) => Uint8Array.from(values)
const show = (disk: DiskImage, name: string) =>
  disk.size(name) === undefined ? '-' : [...disk.read('r', name)].join('')

test('a synced file without a synced name may be gone after a power cut', () => {
  const story = (disk: DiskImage) => {
    disk.write('log', 0, bytes(1))
    disk.fsync('f', 'log')
  }
  assert.deepEqual(
    outcomes(story, (disk) => show(disk, 'log')),
    new Set(['-', '1']),
  )
})

/** Write aside, rename over: the classic, with and without the sync in between. */
function replaceFile(disk: DiskImage, isSynced: boolean): void {
  disk.write('file', 0, bytes(1))
  disk.fsync('f', 'file')
  disk.fsyncDirectory('')
  disk.write('file.new', 0, bytes(2))
  if (isSynced) disk.fsync('f', 'file.new')
  disk.rename('r', 'file.new', 'file')
}

test('a rename of a synced file gives the old or the new contents, never none', () => {
  const seen = outcomes(
    (disk) => replaceFile(disk, true),
    (disk) => show(disk, 'file'),
  )
  assert.deepEqual(seen, new Set(['1', '2']))
})

test('a rename of a file that was not synced may leave an empty file', () => {
  const seen = outcomes(
    (disk) => replaceFile(disk, false),
    (disk) => show(disk, 'file'),
  )
  assert.deepEqual(seen, new Set(['1', '2', '']))
})

test('a rename between directories is in both or in neither', () => {
  const story = (disk: DiskImage) => {
    disk.write('a', 0, bytes(1))
    disk.fsync('f', 'a')
    disk.fsyncDirectory('')
    disk.rename('r', 'a', 'dir/a')
  }
  const seen = outcomes(story, (disk) => show(disk, 'a') + show(disk, 'dir/a'))
  assert.deepEqual(seen, new Set(['1-', '-1']))
})

test('a name is not changed a second time where the first change is lost', () => {
  const story = (disk: DiskImage) => {
    disk.write('a', 0, bytes(1))
    disk.fsync('f', 'a')
    disk.fsyncDirectory('')
    disk.rename('r', 'a', 'dir/a')
    disk.rename('r', 'dir/a', 'dir/b')
  }
  const look = (disk: DiskImage) => ['a', 'dir/a', 'dir/b'].map((name) => show(disk, name)).join('')
  assert.deepEqual(outcomes(story, look), new Set(['1--', '-1-', '--1']))
})

test('unsynced writes to two files survive in any combination, and large ones are torn', () => {
  const story = (disk: DiskImage) => {
    for (const name of ['x', 'y']) {
      disk.write(name, 0, bytes(0))
      disk.fsync('f', name)
    }
    disk.fsyncDirectory('')
    for (const name of ['x', 'y']) disk.write(name, 0, bytes(1))
  }
  const seen = outcomes(story, (disk) => show(disk, 'x') + show(disk, 'y'))
  assert.deepEqual(seen, new Set(['00', '01', '10', '11']))
  const large = (disk: DiskImage) => {
    disk.write('z', 0, new Uint8Array(2048))
    disk.fsync('f', 'z')
    disk.fsyncDirectory('')
    disk.write('z', 0, new Uint8Array(2048).fill(1))
  }
  const ones = outcomes(large, (disk) =>
    String(disk.read('r', 'z').filter((byte) => byte === 1).length),
  )
  assert.deepEqual(ones, new Set(['0', '512', '1024', '1536', '2048']))
})

test('after a failed fsync the next one succeeds without what the first one dropped', () => {
  const disk = new DiskImage()
  disk.write('log', 0, bytes(1))
  disk.dropPending('f', 'log')
  disk.fsync('f', 'log')
  disk.fsyncDirectory('')
  assert.equal(show(disk, 'log'), '1')
  disk.crash(seededRandom(1))
  assert.equal(show(disk, 'log'), '')
})
