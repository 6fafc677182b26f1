import assert from 'node:assert/strict'
import test from 'node:test'
import { parse } from 'smol-toml'
import { checkDocument, deployable, type JsonObject } from '#app-config'
import { seededRandom } from '#base'
import { type DeployOptions, deploy } from './deploy.ts'
import type { DeployEvent } from './deploy-event.ts'
import { LeapingClock } from './leaping-clock.fixture.ts'
import { unavailable } from './strategy/rolling.ts'
import { type Behaviour, TrialPlatform } from './trial-platform.fixture.ts'

const WEB = `
app = "heron"
primary_region = "ams"
[http_service]
internal_port = 8080
[[http_service.checks]]
path = "/"
`

const BEHAVIOUR: Record<string, Behaviour> = {
  crashing: { outcome: 'crashes' },
  sick: { outcome: 'unhealthy' },
  stuck: { outcome: 'never starts' },
  nowhere: { outcome: 'no such image' },
  'migrate-good': { outcome: 'exits 0' },
  'migrate-bad': { outcome: 'exits 1' },
}

class Trial {
  readonly platform = new TrialPlatform(new LeapingClock(), BEHAVIOUR)
  readonly events: DeployEvent[] = []
  #version = 0

  deploy(toml: string, image: string, options: Partial<DeployOptions> = {}) {
    this.#version += 1
    return deploy({
      platform: this.platform,
      config: deployable(checkDocument(structuredClone(parse(toml)) as JsonObject)),
      image,
      release: { id: `rel_${this.#version}`, version: this.#version },
      readLocalFile: () => Buffer.of(),
      tell: (event) => void this.events.push(event),
      clock: this.platform.clock,
      random: seededRandom(this.#version),
      ...options,
    })
  }

  /** A first deploy of `count` healthy machines. */
  static async withMachines(count: number, toml = WEB): Promise<Trial> {
    const trial = new Trial()
    await trial.deploy(toml, 'v1')
    const [first] = trial.platform.all()
    assert.ok(first?.config)
    for (let more = 2; more < count; more += 1) {
      const { id } = await trial.platform.machines.create({ config: first.config, region: 'fra' })
      await trial.platform.machines.wait(id, { states: ['started'], timeoutMs: 10_000 })
    }
    await trial.platform.clock.sleep(5_000)
    trial.platform.log.length = 0
    trial.platform.busiest = 0
    trial.platform.leastServing = Number.POSITIVE_INFINITY
    return trial
  }

  warnings = () => this.events.flatMap((event) => (event.kind === 'warning' ? [event.text] : []))
}

test('a first deploy makes two machines for a group with services, and gives the app its addresses', async () => {
  const trial = new Trial()
  const result = await trial.deploy(WEB, 'v1')
  assert.deepEqual(result, { updated: 0, created: 2, destroyed: 0, unchanged: 0 })
  assert.deepEqual(trial.platform.assigned, ['v6', 'shared_v4'])
  const [machine] = trial.platform.all()
  assert.equal(machine?.region, 'ams')
  assert.equal(machine?.config?.metadata?.['fly_release_version'], '1')
  assert.equal(trial.platform.leased(), 0)
})

test('a group without services gets one machine and a standby that watches it', async () => {
  const trial = new Trial()
  await trial.deploy('app = "heron"\nprimary_region = "ams"\n', 'v1')
  const [worker, standby] = trial.platform.all()
  assert.equal(worker?.state, 'started')
  assert.equal(standby?.state, 'stopped')
  assert.deepEqual(standby?.config?.standbys, [worker?.id])
  assert.equal(standby?.config?.env?.['FLY_STANDBY_FOR'], worker?.id)
  assert.deepEqual(trial.platform.assigned, [])
})

test('a group with a mount gets one machine on a volume of its own, which a later deploy keeps', async () => {
  const toml = `${WEB}[[mounts]]\nsource = "data"\ndestination = "/data"\ninitial_size = "3gb"\n`
  const trial = new Trial()
  await trial.deploy(toml, 'v1')
  const [volume] = await trial.platform.volumes()
  const [machine] = trial.platform.all()
  assert.equal(volume?.size_gb, 3)
  assert.equal(machine?.config?.mounts?.[0]?.volume, volume?.id)
  await trial.deploy(toml.replace('"/data"', '"/other"'), 'v2')
  const [later, ...others] = trial.platform.all()
  assert.equal(others.length, 0)
  assert.equal(later?.id, machine?.id)
  assert.deepEqual(later?.config?.mounts, [{ name: 'data', path: '/other', volume: volume?.id }])
})

test('a machine whose volume is another now is replaced', async () => {
  const mount = (name: string) => `${WEB}[[mounts]]\nsource = "${name}"\ndestination = "/data"\n`
  const trial = new Trial()
  await trial.deploy(mount('data'), 'v1')
  const [before] = trial.platform.all()
  await trial.deploy(mount('other'), 'v2')
  const [after, ...others] = trial.platform.all()
  assert.equal(others.length, 0)
  assert.notEqual(after?.id, before?.id)
  assert.equal((await trial.platform.volumes()).length, 2)
})

test('rolling: every machine has the new version, a third at a time, most of them always serving', async () => {
  const trial = await Trial.withMachines(6)
  await trial.deploy(WEB, 'v2')
  assert.deepEqual(new Set(trial.platform.images()), new Set(['v2']))
  assert.equal(trial.platform.busiest, 2)
  assert.ok(trial.platform.leastServing >= 4, `${trial.platform.leastServing}`)
  assert.equal(trial.platform.leased(), 0)
})

test('rolling: machines at rest get the new version and stay at rest', async () => {
  const trial = await Trial.withMachines(2)
  const [resting] = trial.platform.all()
  await trial.platform.machines.stop(resting?.id ?? '')
  await trial.deploy(WEB, 'v2')
  assert.deepEqual(trial.platform.images(), ['v2', 'v2'])
  assert.deepEqual(
    trial.platform
      .all()
      .map(({ state }) => state)
      .toSorted(),
    ['started', 'stopped'],
  )
})

for (const [image, code, says] of [
  ['crashing', 'deploy.crashed', /ended right after its start .*exitCode=1/],
  ['sick', 'deploy.unhealthy', /connection refused/],
  ['stuck', 'deploy.not_started', /did not start/],
  ['nowhere', 'deploy.not_started', /could not be started .*the registry has no such image/],
] as const) {
  test(`rolling: with an image that is ${image} the first machine goes back and no other is touched`, async () => {
    const trial = await Trial.withMachines(4)
    await assert.rejects(trial.deploy(WEB, image), { code, message: says })
    assert.deepEqual(trial.platform.images(), ['v1', 'v1', 'v1', 'v1'])
    const touched = new Set(trial.platform.log.map((line) => line.split(' ')[1]))
    assert.equal(touched.size, 1)
    assert.equal(trial.platform.leased(), 0)
    assert.ok(trial.platform.all().every(({ state }) => state === 'started'))
    const updates = trial.platform.log.filter((line) => line.startsWith('update'))
    assert.equal(updates.length, image === 'nowhere' ? 1 : 2, 'what kept its version is let alone')
  })
}

test('a failure keeps what it changed when that is asked', async () => {
  const trial = await Trial.withMachines(2)
  await assert.rejects(trial.deploy(WEB, 'crashing', { keepFailed: true }))
  assert.deepEqual(trial.platform.images().toSorted(), ['crashing', 'v1'])
})

test('a deploy that was interrupted goes on where it was, and no machine is changed twice', async () => {
  const trial = await Trial.withMachines(4)
  const ending = new AbortController()
  let updates = 0
  trial.platform.onAct = (act) => {
    if (act === 'update') updates += 1
    if (updates === 3) ending.abort(new Error('Ctrl-C'))
  }
  const release = { id: 'rel_x', version: 7 }
  await assert.rejects(trial.deploy(WEB, 'v2', { signal: ending.signal, release }), {
    code: 'deploy.interrupted',
  })
  assert.equal(trial.platform.leased(), 0)
  const { unchanged } = await trial.deploy(WEB, 'v2', { release })
  assert.ok(unchanged >= 2)
  assert.deepEqual(new Set(trial.platform.images()), new Set(['v2']))
})

test('immediate: all at once, and nothing is waited for', async () => {
  const trial = await Trial.withMachines(6)
  const beforeMs = trial.platform.clock.nowMs()
  await trial.deploy(WEB, 'v2', { strategy: 'immediate' })
  assert.deepEqual(new Set(trial.platform.images()), new Set(['v2']))
  assert.ok(trial.platform.clock.nowMs() - beforeMs < 1_000)
})

test('canary: one more machine is tried first, and goes; when it fails nothing else was touched', async () => {
  const good = await Trial.withMachines(3)
  await good.deploy(WEB, 'v2', { strategy: 'canary' })
  assert.deepEqual(good.platform.images(), ['v2', 'v2', 'v2'])
  assert.match(good.platform.log[0] ?? '', /^create/)
  const bad = await Trial.withMachines(3)
  await assert.rejects(bad.deploy(WEB, 'sick', { strategy: 'canary' }), {
    code: 'deploy.unhealthy',
  })
  assert.deepEqual(bad.platform.images(), ['v1', 'v1', 'v1'])
  assert.ok(!bad.platform.log.some((line) => line.startsWith('update')))
})

test('bluegreen: green takes over when all of it is healthy, and there are never fewer that serve', async () => {
  const trial = await Trial.withMachines(3)
  const blue = trial.platform.all().map(({ id }) => id)
  await trial.deploy(WEB, 'v2', { strategy: 'bluegreen' })
  assert.deepEqual(trial.platform.images(), ['v2', 'v2', 'v2'])
  assert.ok(trial.platform.all().every(({ id, cordoned }) => !blue.includes(id) && !cordoned))
  assert.ok(trial.platform.leastServing >= 3, `${trial.platform.leastServing}`)
})

test('bluegreen: when green fails it goes, and blue was never touched', async () => {
  const trial = await Trial.withMachines(3)
  const blue = trial.platform.all().map(({ id }) => id)
  await assert.rejects(trial.deploy(WEB, 'sick', { strategy: 'bluegreen' }), {
    code: 'deploy.unhealthy',
  })
  assert.deepEqual(
    trial.platform.all().map(({ id }) => id),
    blue,
  )
  assert.ok(trial.platform.all().every(({ state, cordoned }) => state === 'started' && !cordoned))
})

test('bluegreen: of a group at rest exactly one green machine runs', async () => {
  const trial = await Trial.withMachines(3)
  for (const { id } of trial.platform.all()) await trial.platform.machines.stop(id)
  await trial.deploy(WEB, 'v2', { strategy: 'bluegreen' })
  const states = trial.platform.all().map(({ state }) => state)
  assert.deepEqual(states.toSorted(), ['started', 'stopped', 'stopped'])
})

test('bluegreen is refused before anything is made when there is no check, or a volume', async () => {
  const bare = WEB.replace(/\[\[http_service.checks[\s\S]*/, '')
  const trial = await Trial.withMachines(2, bare)
  await assert.rejects(trial.deploy(bare, 'v2', { strategy: 'bluegreen' }), {
    code: 'deploy.not_possible',
  })
  assert.deepEqual(trial.platform.log, [])
})

test('the release command runs once with the new image before any machine is changed', async () => {
  const toml = `${WEB}[deploy]\nrelease_command = "migrate up"\n`
  const trial = await Trial.withMachines(2)
  await trial.deploy(toml, 'migrate-good', { keepFailed: true }).catch(() => undefined)
  const [create, start] = trial.platform.log
  assert.match(create ?? '', /^create/)
  assert.equal(start, create?.replace('create', 'start'))
  assert.ok(trial.platform.log.findIndex((line) => line.startsWith('update')) > 1)
  const failing = await Trial.withMachines(2)
  await assert.rejects(failing.deploy(toml, 'migrate-bad'), {
    code: 'deploy.release_command_failed',
    message: /release command failed - aborting deployment\. .*exitCode=1/,
  })
  assert.deepEqual(failing.platform.images(), ['v1', 'v1'])
})

test('machines of a group that is no more go; machines that no deploy made stay', async () => {
  const trial = await Trial.withMachines(2)
  await trial.platform.machines.create({ config: { image: 'own' } })
  const worker = `${WEB.replace('internal_port = 8080', 'internal_port = 8080\nprocesses = ["web"]')}[processes]\nweb = ""\n`
  await trial.deploy(worker, 'v2')
  assert.deepEqual(trial.platform.images().toSorted(), ['own', 'v2', 'v2'])
  const groups = trial.platform.all().map(({ config }) => config?.metadata?.['fly_process_group'])
  assert.deepEqual(groups.toSorted(), ['web', 'web', undefined])
})

test('a machine on a host that is gone is replaced, unless it has a volume', async () => {
  const trial = await Trial.withMachines(2)
  const [lost] = trial.platform.all()
  trial.platform.change(lost?.id ?? '', { host_status: 'unreachable' })
  await trial.deploy(WEB, 'v2')
  assert.ok(!trial.platform.all().some(({ id }) => id === lost?.id))
  assert.deepEqual(trial.platform.images(), ['v2', 'v2'])
  const stateful = new Trial()
  const toml = `${WEB}[[mounts]]\nsource = "data"\ndestination = "/data"\n`
  await stateful.deploy(toml, 'v1')
  stateful.platform.change(stateful.platform.all()[0]?.id ?? '', { host_status: 'unreachable' })
  await assert.rejects(stateful.deploy(toml, 'v2'), { code: 'deploy.host_unreachable' })
})

test('a lease that somebody else holds is waited for, and told of when it does not end', async () => {
  const trial = await Trial.withMachines(2)
  const [held] = trial.platform.all()
  trial.platform.holdLease(held?.id ?? '', 20_000)
  await trial.deploy(WEB, 'v2')
  trial.platform.holdLease(held?.id ?? '', 10_000_000)
  await assert.rejects(trial.deploy(WEB, 'v3'), { code: 'deploy.lease_held' })
})

test('an app with other ports than 80 and 443 gets an IPv4 address of its own', async () => {
  const trial = new Trial()
  await trial.deploy(
    'app = "x"\n[[services]]\ninternal_port = 5432\n[[services.ports]]\nport = 5432\n',
    'v1',
  )
  assert.deepEqual(trial.platform.assigned, ['v4', 'v6'])
})

test('an app with UDP gets an IPv4 address of its own alone, and hears of it where there is none', async () => {
  const udp = '[[services]]\nprotocol = "udp"\ninternal_port = 53\n[[services.ports]]\nport = 53\n'
  const none = new Trial()
  none.platform.taken = 'v4'
  await none.deploy(`app = "x"\n${udp}`, 'v1')
  assert.deepEqual(none.platform.assigned, [])
  assert.match(none.warnings().join(), /no v4 is free.*UDP.*godwit ips allocate-v4/)
  const own = new Trial()
  await own.deploy(`app = "x"\n${udp}`, 'v1')
  assert.deepEqual(own.platform.assigned, ['v4'])

  const mixed = new Trial()
  await mixed.deploy(`${WEB}${udp}`, 'v1')
  assert.deepEqual(mixed.platform.assigned, ['v4'])
  assert.deepEqual(mixed.warnings(), [])
  const web = new Trial()
  web.platform.taken = 'v4'
  await web.deploy(`${WEB}${udp}`, 'v1')
  assert.deepEqual(web.platform.assigned, ['v6'], 'for what is not UDP')

  const later = await Trial.withMachines(1)
  await later.deploy(`${WEB}${udp}`, 'v2')
  assert.deepEqual(later.platform.assigned, ['v6', 'shared_v4'])
  assert.match(later.warnings().join(), /UDP services are not reached.*godwit ips allocate-v4/)
})

test('how many may be down: a share is rounded up, a number down, and one always', () => {
  assert.equal(unavailable(4, 0.33), 2)
  assert.equal(unavailable(9, 1), 1)
  assert.equal(unavailable(9, 2.9), 2)
  assert.equal(unavailable(3, 0.1), 1)
})
