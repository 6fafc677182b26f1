import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  BaseImages,
  BlobStore,
  pullImage,
  RegistryClient,
  startRealRegistry,
  unpackImage,
} from '#image'
import { type Bench, type Figure, median } from './figures.ts'
import { measureClones } from './image/clone-roots.ts'

const run = promisify(execFile)
const ROUNDS = 3
const MIB = 2 ** 20
/** Layers are folders of this machine: few large files, many small ones, and text. */
const FOLDERS = ['/usr/lib/git-core', '/usr/share/perl', '/usr/share/doc', '/usr/bin']
/** Leaves out what a machine may have in any size. */
const TAR_OPTIONS = ['--sort=name', '--exclude=qemu-*', '--exclude=node*']

/**
 * From a registry on loopback to files, with an empty cache each time; the peer does the same to the same
 * image with skopeo and umoci, which also notes every file for later comparison. Both run as root.
 */
export const bench: Bench = {
  name: 'image',
  summary: 'pulling, unpacking and cloning an image, beside skopeo copy and umoci unpack',
  async run(progress) {
    const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-image-'))
    try {
      await using registry = await startRealRegistry(folder)
      progress('making an image of folders of this machine')
      await registry.push(await makeLayout(folder), 'bench:v1')
      const figures = await measure(folder, `${registry.host}/bench:v1`, progress)
      progress('cloning roots of two sizes')
      return [...figures, ...(await measureClones())]
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
}

async function makeLayout(folder: string): Promise<string> {
  const layout = join(folder, 'layout')
  await run('umoci', ['init', '--layout', layout])
  await run('umoci', ['new', '--image', `${layout}:v1`])
  for (const [index, source] of FOLDERS.filter((one) => existsSync(one)).entries()) {
    const tar = join(folder, `layer-${index}.tar`)
    await run('tar', [...TAR_OPTIONS, '-C', '/', '-cf', tar, source.slice(1)])
    await run('umoci', ['raw', 'add-layer', '--image', `${layout}:v1`, tar])
    await rm(tar)
  }
  return layout
}

interface Costs {
  pull: number[]
  unpack: number[]
  base: number[]
  copyPeer: number[]
  unpackPeer: number[]
  imageBytes: number
  baseBytes: number
}

async function measure(folder: string, name: string, progress: (step: string) => void) {
  const costs: Costs = {
    pull: [],
    unpack: [],
    base: [],
    copyPeer: [],
    unpackPeer: [],
    imageBytes: 0,
    baseBytes: 0,
  }
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`round ${round} of ${ROUNDS}: ours`)
    await inEmpty(join(folder, 'ours'), (place) => pullOurs(place, name, costs))
    progress(`round ${round} of ${ROUNDS}: skopeo and umoci`)
    await inEmpty(join(folder, 'peer'), (place) => pullPeer(place, name, costs))
  }
  return figuresOf(costs)
}

async function inEmpty(place: string, work: (place: string) => Promise<void>): Promise<void> {
  await mkdir(place)
  await run('sync') // nobody pays for what the one before left to write
  await work(place).finally(() => rm(place, { recursive: true }))
}

async function pullOurs(place: string, name: string, costs: Costs): Promise<void> {
  const store = await BlobStore.open({ folder: join(place, 'store'), bytesMax: 2 ** 33 })
  const pulling = pullImage(new RegistryClient(), store, name)
  await timed(costs.pull, () => pulling)
  using image = await pulling
  costs.imageBytes = image.manifest.layers.reduce((sum, { size }) => sum + size, 0)
  const root = join(place, 'root')
  await mkdir(root)
  await timed(costs.unpack, () => unpackImage(image, store, root))
  const bases = await BaseImages.open({ folder: place, store, bytesMax: 2 ** 33 })
  await timed(costs.base, async () => {
    using base = await bases.ensure(image)
    costs.baseBytes = statSync(base.path).blocks * 512
  })
}

async function pullPeer(place: string, name: string, costs: Costs): Promise<void> {
  const layout = join(place, 'layout')
  const words = ['copy', '-q', '--src-tls-verify=false', `docker://${name}`, `oci:${layout}:v1`]
  await timed(costs.copyPeer, () => run('skopeo', words))
  const bundle = join(place, 'bundle')
  await timed(costs.unpackPeer, () => run('umoci', ['unpack', '--image', `${layout}:v1`, bundle]))
}

async function timed(costs: number[], work: () => Promise<unknown>): Promise<void> {
  const startedMs = performance.now()
  await work()
  costs.push(performance.now() - startedMs)
}

function figuresOf(costs: Costs): Figure[] {
  const cost = (key: string, value: number, what: string) =>
    ({ key, value, what, better: 'lower' }) satisfies Figure
  const sum = (some: readonly number[], others: readonly number[]) =>
    median(some.map((value, index) => value + (others[index] ?? Number.NaN)))
  const ours = sum(costs.pull, costs.unpack)
  const peer = sum(costs.copyPeer, costs.unpackPeer)
  return [
    cost('pull_ms', median(costs.pull), `pulling ${Math.round(costs.imageBytes / MIB)} MiB`),
    cost('pull_skopeo_ms', median(costs.copyPeer), 'skopeo copy of the same'),
    cost('unpack_ms', median(costs.unpack), 'unpacking it to files'),
    cost('unpack_umoci_ms', median(costs.unpackPeer), 'umoci unpack of the same'),
    cost('base_ms', median(costs.base), 'from cached blobs to an ext4 base image'),
    cost('base_bytes', costs.baseBytes, 'allocated bytes of that base image'),
    cost('ratio_pull_unpack_vs_peers', ours / peer, 'pull and unpack, ours against the peers'),
  ]
}
