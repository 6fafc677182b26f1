import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import test from 'node:test'
import { HELLO_LAYOUT, makeHelloImage, ORGANIZATION, raisePlatform } from '#box'
import { BOX_TOPOLOGY, loadTopology } from '#planet'
import { eventually, Prober, testPlanet } from './planet-world.ts'

const GODWIT = resolve(import.meta.dirname, '../bin/godwit')
const COMMAND_MS = 240_000
const REGIONS = ['ams', 'iad', 'nrt'] as const
const HOME = 'iad'

/** Something that works in the background: no port, so one machine and one that stands by. */
const WORKER = `app = "worker"
primary_region = "${HOME}"
[experimental]
exec = ["/bin/sleep", "100000"]
[[vm]]
memory = "256mb"
`

const NOTES = `app = "notes"
primary_region = "nrt"
[env]
EDITION = "first"
[mounts]
source = "data"
destination = "/data"
[[vm]]
memory = "256mb"
`

interface Machine {
  readonly id: string
  readonly state: string
  readonly region: string
  readonly host_status: string
  readonly config: { readonly standbys?: readonly string[] }
  readonly events: readonly { readonly id: string; readonly type: string }[]
}

test('a day of a user', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-day-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const topology = loadTopology(BOX_TOPOLOGY)
  const regions = topology.regions.map(({ hosts = 0, ...region }) =>
    hosts === 0 ? region : { ...region, hosts: region.code === HOME ? 2 : 1 },
  )
  const world = await testPlanet(t, 'day', { latency: false, regions })
  const profilePath = join(folder, 'cli.json')
  const { web, platform } = await raisePlatform(world, {
    ...{ topology, apiPort: 0, webPort: 0, profilePath },
  })
  await makeHelloImage()
  const caFile = join(folder, 'ca.pem') // a city sees no host's disk
  copyFileSync(web.caFile, caFile)

  const godwit = (...words: readonly string[]) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
      const env = { ...process.env, GODWIT_PROFILE: profilePath }
      const options = { env, timeout: COMMAND_MS, maxBuffer: 16 << 20 }
      execFile(GODWIT, words, options, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
      )
    })
  const must = async (...words: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await godwit(...words)
    assert.equal(code, 0, `godwit ${words.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }
  const machines = async (app: string): Promise<Machine[]> =>
    JSON.parse(await must('status', '-a', app, '--json')).machines
  const inside = async (app: string, id: string, line: string) =>
    (await must('machine', 'exec', '-a', app, id, '--', 'sh', '-c', line)).trim()
  const configured = (app: string, text: string) => {
    const path = join(folder, app)
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, 'fly.toml'), text)
    return path
  }
  /** Over HTTPS, at the one address, by the one name. */
  const open = (city: string) => {
    const at = ['--resolve', `day.godwit.localhost:443:${web.address}`, '--cacert', caFile]
    const words = ['-sS', '--max-time', '20', ...at, 'https://day.godwit.localhost/']
    return world.node(city).run('curl', words).catch(String)
  }
  const served = (city: string, isRight: (page: string) => boolean) =>
    eventually(`the page in ${city}`, () => open(city), isRight, COMMAND_MS)
  const visitor = (city: string) =>
    new Prober(t, world, city, [`http://${web.address}/`], {
      deadlineMs: 30_000,
      headers: { host: 'day.godwit.localhost', 'x-forwarded-proto': 'https' },
    })

  const hostOf = async (id: string): Promise<string> => {
    for (const host of ['iad-1', 'iad-2']) {
      const runs = await world.node(host).run(GODWIT, ['flyd', 'fsm', 'list', '--json'])
      if (runs.includes(id)) return host
    }
    return assert.fail(`no host of ${HOME} has ${id}`)
  }

  await t.test('launches an app from an image and opens it in three cities', async () => {
    const path = join(folder, 'day')
    mkdirSync(path)
    const said = ['--name', 'day', '--org', ORGANIZATION, '--region', HOME]
    const how = ['--internal-port', '8080', '--autostop', 'off', '--path', path]
    await must('launch', '--image', HELLO_LAYOUT, ...said, ...how)
    assert.match(readFileSync(join(path, 'fly.toml'), 'utf8'), /primary_region = 'iad'|"iad"/)
    for (const region of REGIONS) await served(`${region}-client`, (page) => /from iad/.test(page))
    assert.equal((await machines('day')).length, 2)
  })

  await t.test('reads what its visitors caused', async () => {
    const shown = () => must('logs', '-a', 'day', '--no-tail')
    const { ipv4 } = world.node('nrt-client').plan
    await eventually('the visit', shown, (text) => text.includes(`GET / for ${ipv4}`), COMMAND_MS)
  })

  await t.test('sets a secret, and no visitor fails while machines restart with it', async (t) => {
    const visits = visitor('iad-client')
    await eventually(
      'the first answer',
      () => visits.records.some(({ answer }) => answer !== undefined),
      Boolean,
      COMMAND_MS,
    )
    await must('secrets', 'set', 'WORD=known', '-a', 'day', '-c', join(folder, 'day'))
    visits.stop()
    const failed = visits.records.filter(({ error }) => error !== undefined)
    t.diagnostic(`${failed.length} of ${visits.records.length} requests failed`)
    assert.deepEqual(failed, [])
    for (const { id } of await machines('day')) {
      assert.equal(await inside('day', id, 'echo $WORD'), 'known')
    }
  })

  await t.test(
    'scales to two machines in each of three regions, which serve their own',
    async () => {
      const to = ['--region', REGIONS.join(','), '--max-per-region', '2', '--yes']
      await must('scale', 'count', '6', ...to, '-a', 'day')
      const counts = REGIONS.flatMap((region) => [region, region])
      assert.deepEqual((await machines('day')).map(({ region }) => region).sort(), counts)
      for (const region of REGIONS) {
        await served(`${region}-client`, (page) => page.includes(`from ${region}`))
      }
    },
  )

  await t.test('a crash of a machine is mended, and seen', async () => {
    const victim = (await machines('day')).find(({ region }) => region === 'nrt')
    assert.ok(victim)
    const exits = ({ events }: Machine) => events.filter(({ type }) => type === 'exit')
    for (const pid of processesOf(victim.id)) process.kill(pid, 'SIGKILL')
    const look = async () => (await machines('day')).find(({ id }) => id === victim.id)
    const isBack = (seen: Machine | undefined) =>
      seen?.state === 'started' && exits(seen)[0]?.id !== exits(victim)[0]?.id
    await eventually('its return', look, isBack, COMMAND_MS)
    await served('nrt-client', (page) => page.includes('from nrt'))
  })

  await t.test('keeps its data through a restart and through an update', async () => {
    const path = configured('notes', NOTES)
    await must('apps', 'create', 'notes', '--org', ORGANIZATION)
    await must('deploy', '-c', path, '--image', HELLO_LAYOUT, '--no-public-ips')
    const [first] = await machines('notes')
    assert.ok(first)
    await inside('notes', first.id, 'echo kept > /data/note')
    await must('machine', 'restart', first.id, '-a', 'notes')
    assert.equal(await inside('notes', first.id, 'cat /data/note'), 'kept')
    configured('notes', NOTES.replace('first', 'second'))
    await must('deploy', '-c', path, '--image', HELLO_LAYOUT)
    const read = await inside('notes', first.id, 'echo $EDITION; cat /data/note')
    assert.equal(read, 'second\nkept')
    assert.equal(JSON.parse(await must('volumes', 'list', '-a', 'notes', '--json')).length, 1)
  })

  await t.test('gives a token for one app away, which opens no other', async () => {
    const apps: { name: string; internal_numeric_id: number }[] = JSON.parse(
      await must('apps', 'list', '--org', ORGANIZATION, '--json'),
    )
    const own = apps.find(({ name }) => name === 'notes')?.internal_numeric_id ?? 0
    const { token } = JSON.parse(readFileSync(profilePath, 'utf8'))
    const caveats = JSON.stringify([{ type: 'Apps', body: { apps: { [own]: 'rwcdC' } } }])
    const narrowed = (await must('tokens', 'attenuate', token, '-c', caveats)).trim()
    const as = ['--access-token', narrowed]
    await must('status', '-a', 'notes', ...as)
    const [machine] = await machines('day')
    for (const words of [
      ['status', '-a', 'day'],
      ['machine', 'stop', machine?.id ?? '', '-a', 'day'],
      ['secrets', 'set', 'WORD=changed', '-a', 'day', '--stage'],
      ['apps', 'destroy', 'day', '--yes'],
    ]) {
      const { code, stderr } = await godwit(...words, ...as)
      assert.equal(code, 1, words.join(' '))
      assert.match(stderr, /token|not found|may not|unauthorized/i)
    }
    assert.ok((await machines('day')).every(({ state }) => state === 'started'))
  })

  await t.test('loses a host: traffic moves, and a standby takes over', async () => {
    const path = configured('worker', WORKER)
    await must('apps', 'create', 'worker', '--org', ORGANIZATION)
    await must('deploy', '-c', path, '--image', HELLO_LAYOUT, '--no-public-ips')
    const before = await machines('worker')
    const standby = before.find(({ config }) => config.standbys !== undefined)
    const working = before.find(({ id }) => id !== standby?.id)
    assert.ok(standby && working)
    assert.deepEqual([working.state, standby.state], ['started', 'stopped'])
    const host = await hostOf(working.id)
    await world.kill(host)
    const look = async () => (await machines('worker')).find(({ id }) => id === standby.id)
    await eventually('the standby', look, (seen) => seen?.state === 'started', COMMAND_MS)
    await served('iad-client', (page) => page.includes('from iad'))
    const shown = (await machines('worker')).find(({ id }) => id === working.id)
    assert.equal(shown?.host_status, 'unreachable')
    await world.boot(host)
    await platform.startHost(host)
    await platform.hostReady(host)
    const rests = (all: readonly Machine[]) =>
      all.find(({ id }) => id === standby.id)?.state === 'stopped' &&
      all.find(({ id }) => id === working.id)?.state === 'started'
    await eventually('the return', () => machines('worker'), rests, COMMAND_MS)
  })

  await t.test('destroys it all, and nothing is left', async () => {
    const all = (await Promise.all(['day', 'worker', 'notes'].map(machines))).flat()
    await must('apps', 'destroy', 'day', 'worker', 'notes', '--yes')
    const left = () => all.flatMap(({ id }) => processesOf(id))
    await eventually('no process', left, (pids) => pids.length === 0, COMMAND_MS)
    assert.deepEqual(JSON.parse(await must('apps', 'list', '--org', ORGANIZATION, '--json')), [])
    await served('ams-client', (page) => !page.includes('Hello'))
  })
})

/** Those in the machine's cgroup. */
function processesOf(id: string): number[] {
  const root = '/sys/fs/cgroup'
  const groups = readdirSync(root, { recursive: true, encoding: 'utf8' })
  const lists = groups.filter((path) => path.includes(id) && path.endsWith('/cgroup.procs'))
  const pids = lists.flatMap((path) => readFileSync(join(root, path), 'utf8').split('\n'))
  return [...new Set(pids.filter((pid) => pid !== '').map(Number))]
}
