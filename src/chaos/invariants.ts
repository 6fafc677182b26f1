import { pollUntil } from '#base'
import type { PlanetPlatform } from '#box'
import type { FlapsClient, Machine } from '#flaps-client'
import { APPS, type Visits } from './load.ts'
import type { WriteLedger } from './write-ledger.ts'

const SETTLE_MS = 240_000
const GONE: readonly string[] = ['destroyed', 'migrated']
const NAMESPACE = /^gw-?([0-9a-f]{14})\b/

export interface Aftermath {
  readonly platform: PlanetPlatform
  readonly client: FlapsClient
  readonly ledger: WriteLedger
  readonly visits: Visits
  /** What is not right yet, while it may still come right. */
  readonly tell: (text: string) => void
}

/** What is not as it was promised, once all is mended and quiet. Destroys the apps at last. */
export async function brokenPromises(after: Aftermath): Promise<string[]> {
  const broken: string[] = []
  const hosts = after.platform.world.ofKind('host').map(({ name }) => name)
  for (const host of hosts) await after.platform.hostReady(host)
  broken.push(...(await untilNone('writes', after.tell, () => lostWrites(after))))
  broken.push(...(await untilNone('guests', after.tell, () => strayGuests(after, hosts))))
  broken.push(...(await untilNone('addresses', after.tell, () => sharedAddresses(after.client))))
  broken.push(...(await wrongAnswers(after)))
  for (const app of APPS) await after.client.destroyApp(app)
  broken.push(...(await untilNone('remains', after.tell, () => remains(after.platform, hosts))))
  return broken
}

/** What is still wrong after the time that things may take to come right. */
async function untilNone(
  what: string,
  tell: (text: string) => void,
  look: () => Promise<string[]>,
): Promise<string[]> {
  let found: string[] = []
  let told = ''
  const isNone = async () => {
    found = await look().catch((error: unknown) => [
      `${what} cannot be looked at: ${String(error)}`,
    ])
    const text = found.join('; ')
    if (text !== told) tell(`${what}: ${text === '' ? 'right' : `not yet: ${text}`}`)
    told = text
    return found.length === 0
  }
  await pollUntil(what, isNone, { deadlineMs: SETTLE_MS, intervalMs: 1_000 }).catch(() => undefined)
  return found
}

async function machinesOf(client: FlapsClient): Promise<Map<string, readonly Machine[]>> {
  const lists = APPS.map(async (app) => [app, await client.machines(app).list()] as const)
  return new Map(await Promise.all(lists))
}

async function lostWrites({ client, ledger }: Aftermath): Promise<string[]> {
  const machines = [...(await machinesOf(client)).values()].flat()
  const names = new Set(machines.map(({ name }) => name))
  const secrets = new Set((await client.secrets('red').list()).map(({ name }) => name))
  return ledger.losses((key) => {
    const [kind, first = '', id] = key.split(' ')
    if (kind === 'secret') return secrets.has(first) ? 'there' : undefined
    if (kind === 'machine') return names.has(first) ? 'there' : undefined
    return machines.find((one) => one.id === id)?.config?.metadata?.['chaos']
  })
}

/** Every guest belongs to a machine that is to run, and every such machine has one. */
async function strayGuests({ platform, client }: Aftermath, hosts: readonly string[]) {
  const problems: string[] = []
  let guests = 0
  for (const host of hosts) {
    const seen = await platform.flyd(host)
    if (seen === undefined) problems.push(`flyd of ${host} does not answer`)
    else if (seen.runs > 0) problems.push(`${host} is still at ${seen.runs} changes`)
    else if (seen.capacity.reservations > 0) problems.push(`${host} keeps reservations`)
    else if (seen.guests !== (seen.machines['started'] ?? 0)) {
      problems.push(`${host} has ${seen.guests} guests for ${JSON.stringify(seen.machines)}`)
    }
    guests += seen?.guests ?? 0
  }
  const all = [...(await machinesOf(client)).values()].flat()
  const started = all.filter(({ state }) => state === 'started').length
  if (guests !== started) problems.push(`${guests} guests, and the API shows ${started} that run`)
  return problems
}

async function sharedAddresses(client: FlapsClient): Promise<string[]> {
  const all = [...(await machinesOf(client)).values()].flat()
  const addresses = all.map(({ private_ip: address }) => address)
  const twice = addresses.filter((one, index) => addresses.indexOf(one) !== index)
  return twice.map((address) => `two machines have ${address}`)
}

/** By the machines that each app has, or had: an id is never given twice. */
async function wrongAnswers({ client, visits }: Aftermath): Promise<string[]> {
  const machines = await machinesOf(client)
  return APPS.flatMap((app) => {
    const others = APPS.filter((one) => one !== app).flatMap((one) => machines.get(one) ?? [])
    const seen = visits.seen.get(app) ?? new Set()
    const wrong = others.filter(({ id }) => seen.has(id))
    return wrong.map(
      ({ id }) => `a request for ${app} was answered by machine ${id} of another app`,
    )
  })
}

async function remains(platform: PlanetPlatform, hosts: readonly string[]): Promise<string[]> {
  const problems: string[] = []
  for (const host of hosts) {
    const seen = await platform.flyd(host)
    const living = Object.entries(seen?.machines ?? {}).filter(([state]) => !GONE.includes(state))
    if (seen === undefined || seen.guests > 0 || living.length > 0) {
      problems.push(
        `${host} still has ${seen?.guests ?? 'unknown'} guests, ${JSON.stringify(living)}`,
      )
    }
    const spaces = await platform.world.node(host).run('ip', ['netns', 'list'])
    const left = spaces.split('\n').filter((line) => NAMESPACE.test(line))
    if (left.length > 0) problems.push(`${host} keeps the networks of machines: ${left.join(', ')}`)
  }
  return problems
}
