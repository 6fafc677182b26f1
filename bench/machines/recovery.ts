import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createLog, newMachineId, systemClock, systemRandom } from '#base'
import { LmdbStore, LocalHost, SimulatedEffects, SimulatedHardware } from '#flyd'
import { CapacityBook } from '#market'
import type { Figure } from '../figures.ts'

const run = promisify(execFile)
const MACHINES = 10_000
const PARALLEL = 256
const MIB = 2 ** 20
const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })

/** A host of simulated hardware over the log in `folder`. */
export function openSimulatedHost(folder: string) {
  const store = LmdbStore.open({ folder })
  const capacity = { cpus: 100_000, memoryMb: 2 ** 30, volumeBytes: 0, machinesMax: 100_000 }
  const book = new CapacityBook({ capacity, reservationsMax: 100_000 })
  const effects = new SimulatedEffects({ hardware: new SimulatedHardware(), clock: systemClock })
  const around = { store, book, effects, clock: systemClock, random: systemRandom, log }
  return { store, book, host: new LocalHost({ hostId: 'h1', ...around }) }
}

/** A process that reads the log of 10,000 machines and begins. */
export async function measureRecovery(folder: string): Promise<Figure[]> {
  const state = join(folder, 'state')
  await fill(state)
  const program = join(import.meta.dirname, 'recovery-child.ts')
  const words = ['--disable-warning=ExperimentalWarning', '--expose-gc', program, state]
  const { stdout } = await run(process.execPath, words)
  const { seconds, rssBytes, machines } = JSON.parse(stdout) as Record<string, number>
  if (machines !== MACHINES) throw new Error(`${machines} machines came back`)
  const what = `flyd with ${MACHINES} machines in its log`
  return [
    { key: 'recovery_s', value: seconds ?? 0, what: `${what}: until it serves`, better: 'lower' },
    {
      key: 'recovery_rss_mib',
      value: (rssBytes ?? 0) / MIB,
      what: `${what}: memory`,
      better: 'lower',
    },
  ]
}

async function fill(folder: string): Promise<void> {
  const { store, book, host } = openSimulatedHost(folder)
  await host.begin()
  const signal = new AbortController().signal
  const who = { appId: 'a', appName: 'heron', orgId: 'o', orgSlug: 'birds', networkId: 1 }
  const how = { skipLaunch: true, isCordoned: false, skipSecrets: false, minSecretsVersion: 0 }
  const guest = { cpuKind: 'shared', cpus: 1, memoryMb: 256 } as const
  const config = { image: 'nginx', env: { A: 'b' }, metadata: { fly_process_group: 'web' } }
  const create = async () => {
    const id = newMachineId(systemRandom)
    book.reserve(id, { needs: { guest } }, 60_000, systemClock.monotonicMs())
    const what = { id, reservation: id, name: `m-${id}`, region: 'ams', config }
    await host.create({ ...who, ...how, ...what, leaseTtlS: 0, owner: 'me' }, signal)
  }
  for (let count = 0; count < MACHINES; count += PARALLEL) {
    const some = Math.min(PARALLEL, MACHINES - count)
    await Promise.all(Array.from({ length: some }, create))
  }
  await host.engine.idle()
  host.end()
  await store[Symbol.asyncDispose]()
}
