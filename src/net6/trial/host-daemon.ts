/**
 * A host's network without flyd and corrosion, for trials: does what files in a shared folder say.
 *   rows.json                rows of `hosts`, of all hosts
 *   HOST.machines.json       specifications of the machines that this host is to have
 *   HOST.rotate              present: change the key
 * and tells what it did in HOST.columns.json and HOST.networks.json.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLog, systemClock } from '#base'
import { openHostNetwork } from '../host-network.ts'
import type { MachineNetworkSpec } from '../machine/machine-network.ts'
import { MachineNetworks } from '../machine/machine-networks.ts'
import type { HostRow } from '../mesh/host-rows.ts'
import { Mesh } from '../mesh/mesh.ts'
import { openSystem } from '../system.ts'

export interface HostDaemonConfig {
  readonly hostId: string
  /** This host's field in 6PN addresses. */
  readonly host: number
  readonly publicAddress: string
  /** Of its own state. */
  readonly folder: string
  readonly shared: string
}

const LOOK_MS = 100

const config = JSON.parse(process.argv[2] ?? '{}') as HostDaemonConfig
const { host, hostId, shared, folder } = config
const system = openSystem()
const log = createLog({ part: 'net6-trial' })
const programs = await openHostNetwork({ system, host })
const networks = await MachineNetworks.open({ system, programs, folder, host })
const mesh = await Mesh.open({ ...config, system, programs, log })
const seen = new Map<string, string>()
tell('columns', { id: hostId, ...mesh.ownColumns })

for (;;) {
  const rows = news<HostRow[]>('rows.json')
  if (rows !== undefined) await mesh.setRows(rows)
  const specs = news<MachineNetworkSpec[]>(`${hostId}.machines.json`)
  if (specs !== undefined) await setMachines(specs)
  const rotate = join(shared, `${hostId}.rotate`)
  if (existsSync(rotate)) {
    rmSync(rotate)
    await mesh.rotateKey()
    tell('columns', { id: hostId, ...mesh.ownColumns })
  }
  await systemClock.sleep(LOOK_MS)
}

async function setMachines(specs: readonly MachineNetworkSpec[]): Promise<void> {
  const made = []
  for (const spec of specs) made.push(await networks.make(spec))
  const wanted = new Set(specs.map(({ id }) => id))
  for (const { id } of await networks.list()) if (!wanted.has(id)) await networks.remove(id)
  tell('networks', made)
}

/** A file's content when it is another than last time. */
function news<T>(name: string): T | undefined {
  const path = join(shared, name)
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  if (text === '' || seen.get(name) === text) return undefined
  seen.set(name, text)
  return JSON.parse(text) as T
}

function tell(what: string, value: unknown): void {
  const path = join(shared, `${hostId}.${what}.json`)
  writeFileSync(`${path}.new`, JSON.stringify(value))
  renameSync(`${path}.new`, path)
}
