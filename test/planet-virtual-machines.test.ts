import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import test from 'node:test'
import { HELLO_LAYOUT, makeHelloImage, ORGANIZATION, raisePlatform } from '#box'
import { BOX_TOPOLOGY, loadTopology } from '#planet'
import { eventually, testPlanet } from './planet-world.ts'

const GODWIT = resolve(import.meta.dirname, '../bin/godwit')
const COMMAND_MS = 240_000
const APP = 'hello'
/** One service that is woken, and a volume. */
const CONFIG = `
app = "${APP}"
primary_region = "ams"

[http_service]
internal_port = 8080

[mounts]
source = "data"
destination = "/data"

[[vm]]
memory = "256mb"
`

test('a shorter day of a user, on virtual machines', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-vm-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const topology = loadTopology(BOX_TOPOLOGY)
  const regions = topology.regions.map(({ hosts: _, ...region }) =>
    region.code === 'ams' ? { ...region, hosts: 1 } : region,
  )
  const world = await testPlanet(t, 'vm', { latency: false, regions })
  const profilePath = join(folder, 'cli.json')
  const { web } = await raisePlatform(world, {
    ...{ topology, runtime: 'qemu', apiPort: 0, webPort: 0, profilePath },
  })
  await makeHelloImage()
  const file = join(folder, 'fly.toml')
  writeFileSync(file, CONFIG)

  const godwit = (...words: readonly string[]) =>
    new Promise<string>((done, failed) => {
      const env = { ...process.env, GODWIT_PROFILE: profilePath }
      execFile(GODWIT, words, { env, timeout: COMMAND_MS }, (error, stdout, stderr) =>
        error === null ? done(stdout) : failed(new Error(`${words.join(' ')}: ${stdout}${stderr}`)),
      )
    })
  interface Shown {
    readonly id: string
    readonly state: string
    readonly events: readonly { readonly id: string; readonly type: string }[]
  }
  const machine = async (): Promise<Shown> => {
    const { machines } = JSON.parse(await godwit('status', '-a', APP, '--json'))
    assert.equal(machines.length, 1)
    return machines[0]
  }
  const inside = async (line: string) => {
    const { id } = await machine()
    return (await godwit('machine', 'exec', '-a', APP, id, '--', 'sh', '-c', line)).trim()
  }
  const visit = () => {
    const to = ['-sS', '--max-time', '60', '-H', `host: ${APP}.godwit.localhost`]
    return world
      .node('ams-client')
      .run('curl', [...to, `http://${web.address}/`], { deadlineMs: COMMAND_MS })
      .catch(String)
  }
  const isServed = (page: string) => page.includes('from ams: machine')
  const served = () => eventually('the page', visit, isServed, COMMAND_MS)

  await t.test('deployed, and visited from its city', async () => {
    await godwit('apps', 'create', APP, '--org', ORGANIZATION)
    await godwit('volumes', 'create', 'data', '-a', APP, '-r', 'ams', '-s', '1')
    await godwit('deploy', '-c', file, '--image', HELLO_LAYOUT, '--no-ha')
    await served()
    assert.equal(await inside('cat /proc/1/comm'), 'init', 'its own init')
    const ours = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    assert.notEqual(await inside('cat /proc/sys/kernel/random/boot_id'), ours, 'its own kernel')
  })

  await t.test('a secret restarts it, and its volume keeps what was written', async () => {
    await inside('echo kept > /data/file')
    await godwit('secrets', 'set', 'WORD=known', '-a', APP)
    assert.equal(await inside('echo $WORD; cat /data/file'), 'known\nkept')
    await served()
  })

  await t.test('it is woken by a visit', async () => {
    const { id } = await machine()
    await godwit('machine', 'stop', id, '-a', APP)
    await eventually('its rest', machine, ({ state }) => state === 'stopped', COMMAND_MS)
    await served()
    assert.equal((await machine()).state, 'started')
  })

  await t.test('when its process dies it starts again', async () => {
    const before = await machine()
    for (const pid of processesOf(before.id)) process.kill(pid, 'SIGKILL')
    const lastExit = ({ events }: Shown) => events.find(({ type }) => type === 'exit')?.id
    const isBack = (seen: Shown) => seen.state === 'started' && lastExit(seen) !== lastExit(before)
    await eventually('a start after the crash', machine, isBack, COMMAND_MS)
    await served()
    assert.equal(await inside('cat /data/file'), 'kept')
  })

  await t.test('destroyed with its app, volume and all, it leaves nothing', async () => {
    const { id } = await machine()
    assert.notDeepEqual(processesOf(id), [])
    await godwit('apps', 'destroy', APP, '--yes')
    await eventually(
      'its processes',
      () => processesOf(id),
      (pids) => pids.length === 0,
    )
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
