import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import test from 'node:test'
import { eventually, Prober, testPlanet } from './planet-world.ts'
import { APP_DOMAIN, IMAGE, Platform, SHARED_V4 } from './platform-on-planet.ts'

const GODWIT = resolve(import.meta.dirname, '../bin/godwit')

const CONFIG = `app = "heron"
primary_region = "ams"
[env]
COLOUR = "blue"
[[services]]
internal_port = 80
[[services.ports]]
port = 80
handlers = ["http"]
[[services.tcp_checks]]
interval = "1s"
timeout = "2s"
grace_period = "1s"
[[vm]]
size = "shared-cpu-1x"
`

const REGIONS = ['ams', 'iad', 'nrt'] as const
const SPEAKS = 'echo "said in $FLY_REGION"; exec sleep 1000'
const LONG_MS = 90_000

interface Machine {
  readonly id: string
  readonly state: string
  readonly instance_id: string
  readonly region: string
  readonly config: { readonly env: Record<string, string> }
}

test('an app is deployed from its fly.toml, on a planet', async (t) => {
  const world = await testPlanet(t, 'deploy')
  const platform = await Platform.start(t, world)
  const folder = join(platform.folder, 'app')
  mkdirSync(folder)

  /** Runs the command line in a client's city; its exit code is part of the answer. */
  const godwit = async (toml: string, ...words: string[]) => {
    writeFileSync(join(folder, 'fly.toml'), toml)
    const args = [...words, '-c', folder, ...platform.connection('ams-1')]
    const child = world.node('ams-client').spawn(GODWIT, args)
    child.stdin?.end()
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout as Readable),
      text(child.stderr as Readable),
      once(child, 'exit'),
    ])
    return { code: Number(code), stdout, stderr }
  }
  const machines = async (toml = CONFIG): Promise<Machine[]> => {
    const { stdout, stderr } = await godwit(toml, 'status', '--json')
    assert.notEqual(stdout, '', stderr)
    return JSON.parse(stdout).machines
  }
  const colours = (all: readonly Machine[]) => all.map(({ config }) => config.env['COLOUR'])
  const flags = ['--image', IMAGE, '--no-public-ips', '--no-smoke-checks', '--json']
  let first: readonly Machine[] = []

  await t.test('the first deploy makes two machines, which become healthy', async () => {
    await platform.must(201, 'ams-1', 'POST', '/apps', { app_name: 'heron', org_slug: 'birds' })
    const { code, stdout, stderr } = await godwit(CONFIG, 'deploy', ...flags)
    assert.equal(code, 0, stderr)
    const result = JSON.parse(stdout)
    assert.deepEqual([result.created, result.version], [2, 1])
    first = await machines()
    assert.deepEqual(colours(first), ['blue', 'blue'])
    assert.ok(first.every(({ state, region }) => state === 'started' && region === 'ams'))
  })

  await t.test(
    'what the stock client asks beside the machines is answered there, too',
    async () => {
      const query = `query($app: String!) { app(name: $app) { deployed status hostname
      organization { slug } machines { nodes { region } } currentRelease { version status } } }`
      const asked = { query, variables: { app: 'heron' } }
      const { data } = await platform.must(200, 'ams-1', 'POST', '/graphql', asked)
      assert.deepEqual(data.app, {
        ...{ deployed: true, status: 'deployed', hostname: `heron.${APP_DOMAIN}` },
        ...{ organization: { slug: 'birds' }, currentRelease: { version: 1, status: 'complete' } },
        machines: { nodes: [{ region: 'ams' }, { region: 'ams' }] },
      })
      const { releases } = await platform.must(200, 'ams-1', 'GET', '/api/v1/apps/heron/releases')
      assert.deepEqual([releases.length, releases[0].image_ref.includes(IMAGE)], [1, true])
    },
  )

  await t.test('the next changes both in place', async () => {
    const green = CONFIG.replace('blue', 'green')
    const { code, stderr } = await godwit(green, 'deploy', ...flags)
    assert.equal(code, 0, stderr)
    const all = await machines()
    assert.deepEqual(colours(all), ['green', 'green'])
    assert.deepEqual(all.map(({ id }) => id).sort(), first.map(({ id }) => id).sort())
  })

  await t.test('one that ends at once goes back, and says why', async () => {
    const broken = `${CONFIG.replace('blue', 'red')}[experimental]\ncmd = ["sh", "-c", "exit 3"]\n`
    const { code, stdout } = await godwit(broken, 'deploy', ...flags, '--wait-timeout', '60')
    assert.equal(code, 1)
    const fault = JSON.parse(stdout)
    assert.equal(fault.code, 'deploy.crashed', stdout)
    assert.equal(fault.values.exitCode, 3)
    const all = await machines()
    assert.deepEqual(colours(all), ['green', 'green'])
    assert.ok(all.every(({ state }) => state === 'started'))
    const releases = JSON.parse((await godwit(CONFIG, 'releases', '--json')).stdout)
    assert.deepEqual(
      releases.map(({ version, status }: { version: number; status: string }) => [version, status]),
      [
        [3, 'failed'],
        [2, 'complete'],
        [1, 'complete'],
      ],
    )
  })

  await t.test('secrets reach machines by a release of their own', async () => {
    const { code, stderr } = await godwit(CONFIG, 'secrets', 'set', 'KEY=s3cret')
    assert.equal(code, 0, stderr)
    const [machine] = await machines()
    const path = `/apps/heron/machines/${machine?.id}/exec`
    const body = { command: ['sh', '-c', 'echo $KEY'] }
    assert.equal((await platform.must(200, 'ams-1', 'POST', path, body)).stdout, 's3cret\n')
  })

  await t.test(
    'blue-green makes new machines, takes the old ones away, and fails nobody',
    async (t) => {
      const address = '/apps/heron/ip_assignments'
      await platform.must(200, 'ams-1', 'POST', address, { type: 'shared_v4' })
      const url = `http://${SHARED_V4}/`
      const load = { deadlineMs: 30_000, headers: { host: `heron.${APP_DOMAIN}` } }
      const visitor = new Prober(t, world, 'iad-client', [url], load)
      const isServed = () => visitor.records.some(({ answer }) => answer !== undefined)
      await eventually('the first answer', isServed, Boolean, LONG_MS)
      const beganMs = Date.now()
      const white = CONFIG.replace('blue', 'white')
      const { code, stderr } = await godwit(white, 'deploy', ...flags, '--strategy', 'bluegreen')
      assert.equal(code, 0, stderr)
      await visitor.answered(Date.now(), 20, [url])
      visitor.stop()
      const asked = visitor.since(beganMs)
      const failed = asked.filter(({ error }) => error !== undefined)
      t.diagnostic(`${failed.length} of ${asked.length} requests failed`)
      assert.deepEqual(failed, [])
      const all = await machines()
      assert.deepEqual(colours(all), ['white', 'white'])
      assert.ok(all.every(({ id }) => !first.some((old) => old.id === id)))
    },
  )

  await t.test('the app is scaled to three regions, and is as it was afterwards', async () => {
    const regions = async () => (await machines()).map(({ region }) => region).sort()
    const scale = async (...words: string[]) => {
      const { code, stderr } = await godwit(CONFIG, 'scale', 'count', ...words, '--yes', '--json')
      assert.equal(code, 0, stderr)
    }
    await scale('4', '--region', 'ams,iad,nrt')
    assert.deepEqual(await regions(), ['ams', 'ams', 'iad', 'nrt'])
    assert.ok((await machines()).every(({ state }) => state === 'started'))
    await scale('0', '--region', 'iad,nrt')
    assert.deepEqual(await regions(), ['ams', 'ams'])
  })

  await t.test(
    'what machines in three regions say is shown, with what became of them',
    async () => {
      for (const region of REGIONS) {
        const config = { image: IMAGE, init: { exec: ['/bin/sh', '-c', SPEAKS] } }
        await platform.must(200, 'ams-1', 'POST', '/apps/heron/machines', { region, config })
      }
      const shown = async () => {
        const { stdout } = await godwit(CONFIG, 'logs', '--no-tail', '--json')
        return stdout.split('\n').filter((line) => line !== '')
      }
      const isTold = (lines: string[]) =>
        REGIONS.every((region) => lines.some((line) => line.includes(`said in ${region}`)))
      const lines = await eventually('lines of all regions', shown, isTold, LONG_MS)
      assert.ok(lines.some((line) => line.includes('the machine runs')))
    },
  )

  await t.test('a host whose supervisor is killed goes on, and is taken over', async () => {
    const before = await machines()
    const old = await platform.box.parts('ams-1')
    const supervisor = world.commands('ams-1').find(({ name }) => name === 'host')
    process.kill(-(supervisor?.leader.pid ?? 0), 'SIGKILL')
    await eventually(
      'its end',
      () => world.commands('ams-1').length,
      (count) => count === 1,
    )
    assert.notEqual(await platform.flyd('ams-1'), undefined, 'flyd ended with it')
    await platform.box.startHost('ams-1')
    await platform.box.hostReady('ams-1')
    const now = await platform.box.parts('ams-1')
    for (const part of old) {
      const same = now.find(({ name }) => name === part.name)
      assert.notEqual(same?.pid, part.pid, `${part.name} was left as it was`)
      await assert.rejects(world.node('ams-1').run('kill', ['-0', String(part.pid)]), part.name)
    }
    const after = await machines()
    const versions = (all: readonly Machine[]) =>
      all.map(({ id, instance_id: version, state }) => `${id} ${version} ${state}`).sort()
    assert.deepEqual(versions(after), versions(before))
  })
})
