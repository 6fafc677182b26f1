import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog, newMachineId, systemRandom } from '#base'
import {
  guestOf,
  type HostCreate,
  loadFlydConfig,
  openFlyd,
  type RunningFlyd,
  TrialHost,
} from '#flyd'
import { enterOwnHost } from '#net6'
import { type Bench, type Figure, median, quantile } from './figures.ts'
import { measureBare } from './machines/bare-machines.ts'
import { measureReads } from './machines/flaps-reads.ts'
import { measureRecovery } from './machines/recovery.ts'

const ROUNDS = 20
const PARALLEL = 4
const never = new AbortController().signal
const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })

/**
 * A host with the runc runtime and a warm image. The peer is the runtime alone in a loop that makes what a
 * machine needs (a root, a namespace), boots and starts it, without a log, an API, events, rows or checks.
 */
export const bench: Bench = {
  name: 'machines',
  summary: 'machines of one host, beside a bare loop of the runtime; reads of flaps; recovery',
  async run(progress) {
    enterOwnHost()
    await using trial = await TrialHost.open(0)
    const flyd = await openFlyd(loadFlydConfig(trial.configFile), { log, version: '0' })
    let figures: Figure[]
    try {
      const first = await createOne(flyd, trial.newMachine({})) // pulls the image, makes its base
      await destroy(flyd, first.id)
      progress(`${ROUNDS} machines, each beside a bare one`)
      figures = await measureCreates(flyd, trial)
    } finally {
      await flyd[Symbol.asyncDispose]()
    }
    const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-machines-'))
    try {
      progress('reading machines from flaps')
      figures.push(...(await measureReads(folder)))
      progress('starting flyd with 10,000 machines in its log')
      figures.push(...(await measureRecovery(folder)))
    } finally {
      rmSync(folder, { recursive: true })
    }
    return figures
  },
}

async function measureCreates(flyd: RunningFlyd, trial: TrialHost): Promise<Figure[]> {
  const [creates, starts, bares, bareStarts]: number[][] = [[], [], [], []]
  await using bare = await measureBare(trial)
  await bare.round(newMachineId(systemRandom))
  for (let round = 0; round < ROUNDS; round += 1) {
    const { id, createMs } = await createOne(flyd, trial.newMachine({}))
    creates?.push(createMs)
    starts?.push(await startAgain(flyd, id))
    await destroy(flyd, id)
    const { makeMs, bootMs } = await bare.round(newMachineId(systemRandom))
    bares?.push(makeMs)
    bareStarts?.push(bootMs)
  }
  const all = { creates: creates ?? [], starts: starts ?? [], bares: bares ?? [] }
  const perS = await creationRate(flyd, trial)
  return [
    figure(
      'create_p50_ms',
      median(all.creates),
      'create call to entrypoint, one at a time',
      'lower',
    ),
    figure('create_p99_ms', quantile(all.creates, 0.99), 'the same, worst of a hundred', 'lower'),
    figure('bare_p50_ms', median(all.bares), 'the same by the bare loop', 'lower'),
    figure(
      'ratio_create_vs_bare',
      median(all.creates) / median(all.bares),
      'flyd against the bare loop',
      'lower',
    ),
    figure('created_per_s', perS, `machines a second, ${PARALLEL} at a time`, 'higher'),
    figure(
      'start_overhead_ms',
      median(all.starts) - median(bareStarts ?? []),
      'start call to entrypoint, beyond boot and start of the runtime',
      'lower',
    ),
  ]
}

const figure = (key: string, value: number, what: string, better: Figure['better']): Figure => ({
  key,
  value,
  what,
  better,
})

async function createOne(flyd: RunningFlyd, input: HostCreate) {
  const guest = guestOf(input.config)
  const startedMs = performance.now()
  flyd.book.reserve(input.reservation, { needs: { guest } }, 60_000, performance.now())
  await flyd.host.create(input, never)
  await reach(flyd, input.id, 'started')
  return { id: input.id, createMs: performance.now() - startedMs }
}

async function startAgain(flyd: RunningFlyd, id: string): Promise<number> {
  const stop = { signal: 'SIGKILL', timeoutMs: undefined, nonce: undefined }
  await flyd.host.stop(id, stop, never)
  await reach(flyd, id, 'stopped')
  const startedMs = performance.now()
  await flyd.host.start(id, { nonce: undefined }, never)
  await reach(flyd, id, 'started')
  return performance.now() - startedMs
}

async function destroy(flyd: RunningFlyd, id: string): Promise<void> {
  await flyd.host.destroy(id, { force: true, nonce: undefined }, never)
  await reach(flyd, id, 'destroyed')
}

async function reach(flyd: RunningFlyd, id: string, state: string): Promise<void> {
  const options = { version: undefined, fromEventId: undefined, timeoutMs: 60_000 }
  await flyd.host.wait(id, { states: [state], ...options }, never)
}

async function creationRate(flyd: RunningFlyd, trial: TrialHost): Promise<number> {
  const ids: string[] = []
  const startedMs = performance.now()
  const worker = async () => {
    for (let count = 0; count < ROUNDS / PARALLEL; count += 1) {
      ids.push((await createOne(flyd, trial.newMachine({}))).id)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
  const seconds = (performance.now() - startedMs) / 1000
  for (const id of ids) await destroy(flyd, id)
  return ids.length / seconds
}
