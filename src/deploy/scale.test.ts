import assert from 'node:assert/strict'
import test from 'node:test'
import { parse } from 'smol-toml'
import { checkDocument, deployable, type JsonObject } from '#app-config'
import { seededRandom } from '#base'
import type { Machine } from '#flaps-client'
import { fc } from '#property'
import { type DeployOptions, deploy } from './deploy.ts'
import { LeapingClock } from './leaping-clock.fixture.ts'
import { scaleCount, scaleGuest } from './scale.ts'
import { planScale, type ScaleInput } from './scale-plan.ts'
import { TrialPlatform } from './trial-platform.fixture.ts'

const WEB = `
app = "heron"
primary_region = "ams"
[http_service]
internal_port = 8080
[[http_service.checks]]
path = "/"
`
const STORE = `
app = "heron"
primary_region = "ams"
[[mounts]]
source = "data"
destination = "/data"
initial_size = "3gb"
`

async function deployed(toml: string) {
  const platform = new TrialPlatform(new LeapingClock())
  const config = deployable(checkDocument(structuredClone(parse(toml)) as JsonObject))
  const release = { id: 'rel_1', version: 1 }
  const ends = { readLocalFile: () => Buffer.of(), random: seededRandom(1), tell: () => undefined }
  const options: DeployOptions = {
    platform,
    config,
    image: 'v1',
    release,
    clock: platform.clock,
    ...ends,
  }
  await deploy(options)
  const scale = async (count: number, more: Partial<ScaleInput> = {}) => {
    const plan = planScale({
      machines: platform.all(),
      volumes: await platform.volumes(),
      counts: new Map([['app', count]]),
      region: 'ams',
      deployed: { config, image: 'v1', release },
      readLocalFile: ends.readLocalFile,
      ...more,
    })
    await scaleCount(plan, { platform, clock: platform.clock, ...ends })
    return plan
  }
  const alive = () => platform.all().filter(({ state }) => state !== 'destroyed')
  const places = () =>
    alive()
      .map(({ region }) => region)
      .sort()
  return { platform, scale, alive, places, ends }
}

test('more machines are spread over the regions that are named, and are healthy then', async () => {
  const { scale, places, alive } = await deployed(WEB)
  await scale(6, { regions: ['ams', 'iad', 'nrt'] })
  assert.deepEqual(places(), ['ams', 'ams', 'iad', 'iad', 'nrt', 'nrt'])
  assert(alive().every(({ state }) => state === 'started'))
  assert.equal(new Set(alive().map(({ config }) => config?.metadata?.['fly_release_id'])).size, 1)
})

test('fewer machines: what does not run goes first, and other regions are left alone', async () => {
  const { platform, scale, places, alive } = await deployed(WEB)
  await scale(3, { regions: ['ams'] })
  await scale(1, { regions: ['iad'] })
  const stopped = alive().find(({ region }) => region === 'ams')?.id ?? ''
  await platform.machines.stop(stopped)
  const { destroys } = await scale(2, { regions: ['ams'] })
  assert.deepEqual(
    destroys.map(({ id }) => id),
    [stopped],
  )
  assert.deepEqual(places(), ['ams', 'ams', 'iad'])
})

test('down to none, and back from what was deployed', async () => {
  const { scale, places, alive } = await deployed(WEB)
  await scale(0)
  assert.deepEqual(places(), [])
  await scale(1, { regions: ['iad'] })
  assert.deepEqual(places(), ['iad'])
  const [machine] = alive()
  assert.equal(machine?.config?.image, 'v1')
  assert.equal(machine?.config?.metadata?.['fly_process_group'], 'app')
})

test('without a machine and without a release there is nothing to copy, which is said', () => {
  const input = {
    machines: [],
    volumes: [],
    counts: new Map([['web', 1]]),
    region: 'ams',
    readLocalFile: () => Buffer.of(),
  }
  assert.throws(() => planScale(input), { code: 'deploy.not_possible' })
})

test('a machine with a volume gets a free one of that name and region, else a new one of that size', async () => {
  const { platform, scale } = await deployed(STORE)
  await platform.createVolume({ name: 'data', region: 'iad', sizeGb: 9 })
  const plan = await scale(3, { regions: ['ams', 'iad', 'nrt'] })
  assert.deepEqual(plan.volumes, [{ name: 'data', region: 'nrt', sizeGb: 3 }])
  const held = (await platform.volumes()).map((one) => [
    one.region,
    one.attached_machine_id !== null,
  ])
  assert.deepEqual(held.toSorted(), [
    ['ams', true],
    ['iad', true],
    ['nrt', true],
  ])
})

test('no region gets more than it may, and more than fits is refused before anything is made', async () => {
  const { scale, places } = await deployed(WEB)
  await scale(3, { regions: ['ams', 'iad', 'nrt'], maxPerRegion: 1 })
  assert.deepEqual(places(), ['ams', 'iad', 'nrt'])
  await assert.rejects(() => scale(4, { regions: ['ams', 'iad'], maxPerRegion: 1 }), {
    code: 'deploy.not_possible',
  })
  assert.deepEqual(places(), ['ams', 'iad', 'nrt'])
})

test('machines get another size, and keep all else', async () => {
  const { platform, alive, ends } = await deployed(WEB)
  const before = alive()[0]?.config
  const changed = await scaleGuest({ memory_mb: 1024 }, undefined, {
    platform,
    clock: platform.clock,
    ...ends,
  })
  assert.equal(changed, 2)
  for (const { config, state } of alive()) {
    assert.deepEqual([config?.guest?.['memory_mb'], state], [1024, 'started'])
    assert.deepEqual(config?.services, before?.services)
  }
  assert.equal(await scaleGuest({ cpus: 2 }, ['other'], { platform, ...ends }), 0)
})

test('whatever is there, the plan ends with as many as are wanted, as even as it can be', () => {
  const place = fc.constantFrom<string[]>('ams', 'iad', 'nrt', 'gru')
  fc.assert(
    fc.property(
      fc.array(place, { maxLength: 12 }),
      fc.uniqueArray(place, { minLength: 1 }),
      fc.nat(12),
      (there, regions, count) => {
        const machines = there.map(
          (region, index): Machine => ({
            id: `m${index}`,
            name: '',
            state: 'started',
            region,
            instance_id: '',
            private_ip: '',
            created_at: `${index}`,
            updated_at: '',
            image_ref: {},
            host_status: 'ok',
            config: {
              metadata: { fly_platform_version: 'v2', fly_process_group: 'app' },
            },
          }),
        )
        fc.pre(machines.length > 0) // what a new one is made after
        const { creates, destroys } = planScale({
          machines,
          volumes: [],
          counts: new Map([['app', count]]),
          regions,
          region: 'ams',
          readLocalFile: () => Buffer.of(),
        })
        assert(creates.length === 0 || destroys.length === 0)
        const left = machines.filter(
          (one) => regions.includes(one.region) && !destroys.includes(one),
        )
        const sizes = regions.map(
          (region) => [...left, ...creates].filter((one) => one.region === region).length,
        )
        assert.equal(
          sizes.reduce((sum, size) => sum + size, 0),
          count,
        )
        // A region that lost machines has at most one less than any other.
        for (const { region } of destroys) {
          const size = sizes[regions.indexOf(region)] ?? 0
          assert(size >= Math.max(...sizes) - 1)
        }
      },
    ),
  )
})
