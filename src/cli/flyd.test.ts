import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { createLog, seededRandom, systemClock } from '#base'
import { LmdbStore, LocalHost, SimulatedEffects, SimulatedHardware } from '#flyd'
import { CapacityBook } from '#market'
import { flydCommand } from './flyd.ts'

const signal = new AbortController().signal

/** A state folder in which one machine was made and another could not be. */
async function newState(t: TestContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-cli-flyd-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  await using store = LmdbStore.open({ folder })
  const book = new CapacityBook({ capacity: { cpus: 4, memoryMb: 4096, volumeBytes: 0 } })
  const host = new LocalHost({
    hostId: 'h1',
    store,
    effects: new SimulatedEffects({ hardware: new SimulatedHardware(), clock: systemClock }),
    book,
    clock: systemClock,
    random: seededRandom(1),
    log: createLog({ part: 'flyd', level: 'silent', format: 'json' }),
  })
  host.engine.start()
  for (const [id, image] of [
    ['148ed599c14189', 'nginx'],
    ['148ed599c14190', 'missing'],
  ] as const) {
    const guest = { cpuKind: 'shared', cpus: 1, memoryMb: 256 } as const
    book.reserve(id, { needs: { guest } }, 60_000, systemClock.monotonicMs())
    const who = { appId: 'a', appName: 'heron', orgId: 'o', orgSlug: 'birds', networkId: 1 }
    const what = { name: id, region: 'ams', config: { image }, skipLaunch: true, isCordoned: false }
    const rest = { skipSecrets: false, minSecretsVersion: 0, leaseTtlS: 0, owner: 'me' }
    await host.create({ id, reservation: id, ...who, ...what, ...rest }, signal)
    await host.engine.idle()
  }
  host.end()
  return folder
}

async function run(...words: readonly string[]): Promise<string> {
  let printed = ''
  const command = flydCommand((text) => {
    printed += text
  })
  await command.parseAsync(['node', 'flyd', ...words])
  return printed
}

test('runs are listed newest first, by machine and by how they ended, as a table and as JSON', async (t) => {
  const state = await newState(t)
  const table = await run('fsm', 'list', '--state', state)
  const [head, ...lines] = table.trimEnd().split('\n')
  assert.match(head ?? '', /^ID +KIND +OF +OUTCOME/)
  assert.match(lines[0] ?? '', /machine\.destroy +machine\/148ed599c14190 +done/) // what failed goes
  assert.match(lines[1] ?? '', /machine\.create +machine\/148ed599c14190 +failed .*no such image/)
  assert.match(lines[2] ?? '', /machine\.create +machine\/148ed599c14189 +done/)
  const failed = JSON.parse(
    await run('fsm', 'list', '--state', state, '--outcome', 'failed', '--json'),
  )
  assert.deepEqual(
    failed.runs.map(({ resource, outcome }: Record<string, string>) => [resource, outcome]),
    [['machine/148ed599c14190', 'failed']],
  )
  const of = await run('fsm', 'list', '--state', state, '--of', '148ed599c14189')
  assert.equal(of.trimEnd().split('\n').length, 2)
})

test('a run is shown step by step, with times and errors, by the beginning of its id', async (t) => {
  const state = await newState(t)
  const { runs } = JSON.parse(await run('fsm', 'list', '--state', state, '--json'))
  const [failed, done] = runs.filter(({ kind }: { kind: string }) => kind === 'machine.create')
  const shown = await run('fsm', 'show', failed.id, '--state', state)
  assert.match(shown, /began +image/)
  assert.match(shown, /failed +image +no such image/)
  assert.match(shown, /finished +failed/)
  const json = JSON.parse(await run('fsm', 'show', done.id, '--state', state, '--json'))
  assert.equal(json.outcome, 'done')
  await assert.rejects(run('fsm', 'show', '7ZZZ', '--state', state), { code: 'flyd.not_found' })
  await assert.rejects(run('fsm', 'list', '--state', join(state, 'none')), { code: 'flyd.log_bad' })
})
