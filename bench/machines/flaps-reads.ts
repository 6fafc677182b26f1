import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { KeyRing, openAccounts } from '#accounts'
import { createLog, newMachineId, systemRandom } from '#base'
import { PLATFORM_SCHEMA } from '#corrosion'
import { loadFlapsConfig, openFlaps } from '#flaps'
import { newKeyLine } from '#seal'
import type { Figure } from '../figures.ts'

const MACHINES = 1_000
/** Of each machine: the documented rate allows ten at once. */
const READS_EACH = 8
const PARALLEL = 32
const SEED = 'SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n'
const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })

/** GET of one machine, with its token verified, from the rows of a replica. Client and server share a process. */
export async function measureReads(folder: string): Promise<Figure[]> {
  const { token, ids } = install(folder)
  await using flaps = await openFlaps(loadFlapsConfig(join(folder, 'flaps.toml')), { log })
  const headers = { authorization: token }
  const paths = Array.from({ length: READS_EACH }, () => ids).flat()
  const read = async (id: string) => {
    const response = await fetch(`${flaps.address}/v1/apps/heron/machines/${id}`, { headers })
    const text = await response.text()
    if (response.status !== 200) throw new Error(`${response.status}: ${text}`)
  }
  const startedMs = performance.now()
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      for (let id = paths.pop(); id !== undefined; id = paths.pop()) await read(id)
    }),
  )
  const seconds = (performance.now() - startedMs) / 1000
  const value = (MACHINES * READS_EACH) / seconds
  return [
    {
      key: 'reads_per_s',
      value,
      what: 'GET of a machine from flaps, its client included',
      better: 'higher',
    },
  ]
}

function install(folder: string): { token: string; ids: readonly string[] } {
  const by = { who: 'cli:bench', requestId: '01BENCH' }
  const line = newKeyLine('first', systemRandom)
  const write = (name: string, text: string) =>
    writeFileSync(join(folder, name), text, { mode: 0o600 })
  write('keys', line)
  write('seed', SEED)
  write('cluster.key', '5a'.repeat(32))
  const path = join(folder, 'accounts.db')
  using accounts = openAccounts({ path, ring: new KeyRing(line, systemRandom) })
  accounts.createOrganization(by, { slug: 'birds' })
  accounts.addRootKey(by, { organization: 'birds' })
  const app = accounts.createApp(by, { app: 'heron', organization: 'birds' })
  const token = accounts.createToken(by, { organization: 'birds', profile: 'org' }).header
  const ids = Array.from({ length: MACHINES }, () => newMachineId(systemRandom))
  const replica = new DatabaseSync(join(folder, 'corrosion.db'))
  replica.exec(PLATFORM_SCHEMA)
  replica.exec(`INSERT INTO hosts (id, backhaul_ip) VALUES ('h1', '127.0.0.1')`)
  const insert = replica.prepare(
    `INSERT INTO machines (id, host_id, app_id, name, region, state, config) VALUES (?, 'h1', ?, ?, 'ams', 'started', '{"image":"a"}')`,
  )
  replica.exec('BEGIN')
  for (const id of ids) insert.run(id, String(app.id), `m-${id}`)
  replica.exec('COMMIT')
  replica.close()
  write('flaps.toml', configOf(folder))
  return { token, ids }
}

const configOf = (folder: string) => `region = "ams"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
replica = "${folder}/corrosion.db"
accounts = { database = "${folder}/accounts.db", key_ring = "${folder}/keys" }
hosts = { key_file = "${folder}/cluster.key" }
nats = { servers = ["nats://127.0.0.1:1"], seed_file = "${folder}/seed", client = "flaps-1" }
`
