import { type Random, systemClock } from '#base'
import { ApiError, type FlapsClient, type Machine } from '#flaps-client'
import type { World } from '#planet'
import type { Outcome, WriteLedger } from './write-ledger.ts'

export const APPS = ['red', 'blue'] as const
const WRITE_EVERY_MS = 1_000
const MACHINE_EVERY_MS = 10_000
const VISIT_EVERY_MS = 500
const CALL_MS = 15_000
const ANSWER = /^Hello from \w+: machine ([0-9a-f]{14})$/

export interface LoadOptions {
  readonly client: FlapsClient
  readonly world: World
  readonly address: string
  readonly domain: string
  readonly ledger: WriteLedger
  readonly random: Random
  readonly signal: AbortSignal
  /** Machines by app that were there at the start. */
  readonly machines: Readonly<Record<string, readonly Machine[]>>
}

/** What visitors saw. */
export interface Visits {
  answered: number
  failed: number
  /** App that was asked, and the machine that answered. */
  readonly seen: Map<string, Set<string>>
}

/** Writes and visits until told to stop. Never rejects: what goes wrong is counted. */
export async function runLoad(options: LoadOptions): Promise<Visits> {
  const visits: Visits = { answered: 0, failed: 0, seen: new Map() }
  const machines = APPS.flatMap((app) =>
    (options.machines[app] ?? []).map(({ id }) => ({ app, id })),
  )
  const cities = options.world.ofKind('client').map(({ name }) => name)
  await Promise.all([
    ...machines.map((machine, index) => writeMetadata(options, { ...machine, index })),
    writeSecrets(options),
    makeMachines(options),
    ...cities.flatMap((city) => APPS.map((app) => visit(options, visits, { city, app }))),
  ])
  return visits
}

async function writeMetadata(
  { client, ledger, signal }: LoadOptions,
  { app, id }: { app: string; id: string; index: number },
): Promise<void> {
  for (let count = 1; await pause(WRITE_EVERY_MS, signal); count += 1) {
    const value = String(count)
    const outcome = await outcomeOf(() =>
      client.machines(app).setMetadata(id, 'chaos', value, { deadlineMs: CALL_MS }),
    )
    ledger.tell(`metadata ${app} ${id}`, value, outcome)
  }
}

async function writeSecrets({ client, ledger, signal }: LoadOptions): Promise<void> {
  for (let count = 1; await pause(WRITE_EVERY_MS, signal); count += 1) {
    const name = `S${count}`
    const outcome = await outcomeOf(async () => {
      await client.secrets('red').set({ [name]: 'x' }, { deadlineMs: CALL_MS })
    })
    ledger.tell(`secret ${name}`, 'there', outcome)
  }
}

/** One that lives, one that is destroyed again, and so on. */
async function makeMachines({ client, ledger, machines, random, signal }: LoadOptions) {
  const [like] = machines['blue'] ?? []
  const regions = (machines['blue'] ?? []).map(({ region }) => region)
  const blue = client.machines('blue')
  for (let count = 1; await pause(MACHINE_EVERY_MS, signal); count += 1) {
    const name = `made-${count}`
    const region = regions[random.int(regions.length)] ?? ''
    const { image = '', guest = {} } = like?.config ?? {}
    let id = ''
    const made = await outcomeOf(async () => {
      const config = { image, guest, metadata: { made: 'by chaos' } }
      const machine = await blue.create({ name, region, config }, { deadlineMs: CALL_MS })
      id = machine.id
    })
    ledger.tell(`machine ${name}`, 'there', made)
    if (made !== 'acknowledged' || count % 2 === 0) continue
    const gone = await outcomeOf(() => blue.destroy(id, { force: true }, { deadlineMs: CALL_MS }))
    ledger.tell(`machine ${name}`, undefined, gone)
  }
}

async function visit(
  { world, address, domain, signal }: LoadOptions,
  visits: Visits,
  { city, app }: { city: string; app: string },
): Promise<void> {
  while (await pause(VISIT_EVERY_MS, signal)) {
    const host = `host: ${app}.${domain}`
    const words = ['-s', '--max-time', '10', '-H', host, `http://${address}/`]
    const page = await world
      .node(city)
      .run('curl', words)
      .catch(() => '')
    const machine = ANSWER.exec(page.trim())?.[1]
    if (machine === undefined) {
      visits.failed += 1
      continue
    }
    visits.answered += 1
    const seen = visits.seen.get(app) ?? new Set()
    visits.seen.set(app, seen.add(machine))
  }
}

/** A refusal says that nothing happened; silence and failures say nothing. */
async function outcomeOf(write: () => Promise<void>): Promise<Outcome> {
  try {
    await write()
    return 'acknowledged'
  } catch (error) {
    const isRefused = error instanceof ApiError && REFUSALS.has(error.traits.status)
    return isRefused ? 'refused' : 'unknown'
  }
}

const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 404, 412, 422, 429])

/** False: it is over. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return await systemClock.sleep(ms, signal).then(
    () => true,
    () => false,
  )
}
