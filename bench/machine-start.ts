import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { QemuRuntime, RuncRuntime, type Runtime } from '#guest'
import { type Bench, type Figure, median } from './figures.ts'
import { overheadMib } from './machine-start/host-memory.ts'
import { prepareMachine, startMachine } from './machine-start/our-machines.ts'
import { BareQemu, BareRunc } from './machine-start/peers.ts'
import { makeRootDisk } from './machine-start/root-disk.ts'

const ROUNDS = 5
/** Containers are quick, and so their times are more than noise only over many. */
const CONTAINERS_A_ROUND = 5
const AT_ONCE = 4

interface Subjects {
  readonly folder: string
  readonly rootDisk: string
  readonly runc: Runtime
  readonly cold: Runtime
  readonly template: QemuRuntime
  readonly bareRunc: BareRunc
  readonly bareQemu: BareQemu
}

interface Costs {
  readonly runc: number[]
  readonly runcPeer: number[]
  readonly cold: number[]
  readonly coldPeer: number[]
  readonly template: number[]
  readonly overheadMib: number[]
}

/**
 * From the call that starts a prepared machine to the first byte of its entrypoint's output. QEMU emulates
 * (TCG) on both sides, so that the figures can be had on every machine.
 */
export const bench: Bench = {
  name: 'machine-start',
  summary: 'starting machines in runc, in QEMU and from a template, beside bare runc and bare QEMU',
  async run(progress) {
    const folder = mkdtempSync(join(tmpdir(), 'gb-'))
    const rootDisk = makeRootDisk(folder)
    const options = { cacheDir: join(folder, 'cache') }
    const ours = {
      runc: new RuncRuntime({ stateDir: join(folder, 'r') }),
      cold: new QemuRuntime({ ...options, stateDir: join(folder, 'c'), templateBytesMax: 0 }),
      template: new QemuRuntime({ ...options, stateDir: join(folder, 't') }),
    }
    const bareQemu = new BareQemu(folder)
    const bareRunc = new BareRunc(folder, rootDisk)
    try {
      return await measure({ ...ours, folder, rootDisk, bareQemu, bareRunc }, progress)
    } finally {
      for (const runtime of Object.values(ours)) {
        for (const { id } of await runtime.list()) await runtime.remove(id)
      }
      bareRunc[Symbol.dispose]()
      rmSync(folder, { recursive: true })
    }
  },
}

async function measure(subjects: Subjects, progress: (step: string) => void): Promise<Figure[]> {
  const costs: Costs = {
    ...{ runc: [], runcPeer: [], cold: [], coldPeer: [], template: [], overheadMib: [] },
  }
  progress('the first start, which leaves the template')
  await startOnce(subjects, subjects.template)
  await startOnce(subjects, subjects.runc)
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`round ${round} of ${ROUNDS}`)
    await measureRound(subjects, costs)
  }
  progress(`${AT_ONCE} machines at once`)
  const atOnce = {
    runc: await startAtOnce(subjects, subjects.runc),
    template: await startAtOnce(subjects, subjects.template),
  }
  const { cold, template } = subjects.template.starts
  if (cold !== 1 || template !== ROUNDS + AT_ONCE) {
    throw new Error(`machines did not start from the template: ${cold} cold, ${template} from it`)
  }
  return figuresOf(costs, atOnce)
}

async function measureRound(subjects: Subjects, costs: Costs): Promise<void> {
  for (let i = 0; i < CONTAINERS_A_ROUND; i += 1) {
    costs.runcPeer.push(await subjects.bareRunc.start())
    costs.runc.push(await startOnce(subjects, subjects.runc))
  }
  const { rootfs } = prepareMachine(subjects.folder, subjects.rootDisk)
  costs.coldPeer.push(await subjects.bareQemu.start(rootfs.path))
  const look = (id: string) => costs.overheadMib.push(overheadMib(id))
  costs.cold.push(await startOnce(subjects, subjects.cold))
  costs.template.push(await startOnce(subjects, subjects.template, look))
}

async function startOnce(subjects: Subjects, runtime: Runtime, look?: (id: string) => void) {
  const spec = prepareMachine(subjects.folder, subjects.rootDisk)
  try {
    return await startMachine(runtime, spec, look && (() => look(spec.id)))
  } finally {
    await runtime.remove(spec.id)
  }
}

/** Machines a second when several are started at the same time. */
async function startAtOnce(subjects: Subjects, runtime: Runtime): Promise<number> {
  const specs = Array.from({ length: AT_ONCE }, () =>
    prepareMachine(subjects.folder, subjects.rootDisk),
  )
  const startedMs = performance.now()
  await Promise.all(specs.map((spec) => startMachine(runtime, spec)))
  const tookMs = performance.now() - startedMs
  for (const { id } of specs) await runtime.remove(id)
  return (AT_ONCE * 1000) / tookMs
}

// biome-ignore format: a table
function figuresOf(costs: Costs, atOnce: { runc: number; template: number }): Figure[] {
  const [runc, runcPeer] = [median(costs.runc), median(costs.runcPeer)]
  const [cold, coldPeer, template] = [median(costs.cold), median(costs.coldPeer), median(costs.template)]
  return [
    { key: 'start_runc_ms', value: runc, what: 'container to its first output', better: 'lower' },
    { key: 'peer_runc_ms', value: runcPeer, what: 'the same by a bare runc run', better: 'lower' },
    { key: 'ratio_start_vs_runc', value: runc / runcPeer, what: 'ours to bare runc', better: 'lower' },
    { key: 'start_qemu_ms', value: cold, what: 'virtual machine, booted, to its first output', better: 'lower' },
    { key: 'peer_qemu_ms', value: coldPeer, what: 'the same by a bare QEMU', better: 'lower' },
    { key: 'ratio_start_vs_qemu', value: cold / coldPeer, what: 'ours to bare QEMU', better: 'lower' },
    { key: 'start_template_ms', value: template, what: 'virtual machine from a template', better: 'lower' },
    { key: 'ratio_template_vs_cold', value: template / cold, what: 'from a template to booted', better: 'lower' },
    { key: 'overhead_qemu_mib', value: median(costs.overheadMib), what: "of the host beside a guest's RAM", better: 'lower' },
    { key: 'runc_at_once_per_s', value: atOnce.runc, what: `containers, ${AT_ONCE} at once`, better: 'higher' },
    { key: 'template_at_once_per_s', value: atOnce.template, what: `from a template, ${AT_ONCE} at once`, better: 'higher' },
  ]
}
