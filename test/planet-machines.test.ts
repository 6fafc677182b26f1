import assert from 'node:assert/strict'
import test from 'node:test'
import type { FlydSeen } from '#box'
import { changeAuthority } from './authority-on-planet.ts'
import { eventually, testPlanet } from './planet-world.ts'
import { HOSTS, IMAGE, ISSUER, Platform } from './platform-on-planet.ts'

const LONG_MS = 90_000
const REGIONS = ['ams', 'iad', 'nrt'] as const
const [ams, iad, nrt] = HOSTS
/** Beside ams-1: where its machines can go. */
const BESIDE = 'ams-2'
/** Nothing is there when the cluster is founded. */
const JOINING = 'iad-2'
const machines = '/apps/heron/machines'

interface Shown {
  readonly id: string
  readonly region: string
  readonly state: string
  readonly host_status: string
}

const GONE = ['destroyed', 'migrated']

test('machines in three regions, by curl alone', async (t) => {
  const world = await testPlanet(t, 'machines', { latency: true, bgp_hold_s: 3 })
  const platform = await Platform.start(t, world, { names: [...HOSTS, BESIDE] })
  const ids = new Map<string, string>()
  const list = async (gateway: string): Promise<Shown[]> => {
    const answer = await platform.call(gateway, 'GET', machines)
    return answer.status === 200 ? answer.json : [] // 429: asked too often
  }
  let standby = ''
  const idIn = (region: string) => ids.get(region) ?? ''
  const waitFor = (id: string, state: string, gateway: string = ams) =>
    platform.must(200, gateway, 'GET', `${machines}/${id}/wait?state=${state}&timeout=60`)

  /** What the machine in nrt gets of the one in iad. */
  const page = async (port: number): Promise<string | undefined> => {
    const { private_ip: address } = await platform.must(
      200,
      iad,
      'GET',
      `${machines}/${idIn('iad')}`,
    )
    const ask = `printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${address} ${port}`
    const path = `${machines}/${idIn('nrt')}/exec`
    const { status, json } = await platform.call(iad, 'POST', path, { command: ['sh', '-c', ask] })
    return status === 200 ? json.stdout : undefined // 429: asked too often
  }
  const serves = (port: number) =>
    eventually(
      `a page at ${port}`,
      () => page(port),
      (got) => /a page/.test(got ?? ''),
      LONG_MS,
    )

  await t.test('are created, awaited, listed and used', async () => {
    await platform.must(201, ams, 'POST', '/apps', { app_name: 'heron', org_slug: 'birds' })
    await platform.must(200, iad, 'POST', '/apps/heron/secrets', { values: { TOKEN: 's3' } })
    for (const region of REGIONS) {
      const body = { region, config: { image: IMAGE, env: { WHERE: region } } }
      const { id } = await platform.must(200, ams, 'POST', machines, body)
      ids.set(region, id)
    }
    for (const region of REGIONS) await waitFor(idIn(region), 'started')
    const all = (seen: Shown[]) => seen.length === 3 && seen.every((one) => one.state === 'started')
    const seen = await eventually('all, at the other gateway', () => list(iad), all, LONG_MS)
    assert.deepEqual(seen.map(({ region }) => region).sort(), [...REGIONS])
    const path = '/../prometheus/birds/api/v1/label/instance/values?match%5B%5D=fly_instance_up'
    const metered = await platform.must(200, iad, 'GET', path)
    assert.deepEqual(metered.data, REGIONS.map(idIn).sort())
    const ofOthers = await platform.call(iad, 'GET', path, undefined, 'fish')
    assert.equal(ofOthers.status, 403)
    for (const region of REGIONS) {
      const command = ['sh', '-c', 'echo $WHERE $FLY_REGION $TOKEN']
      const path = `${machines}/${idIn(region)}/exec`
      const { stdout } = await platform.must(200, iad, 'POST', path, { command })
      assert.equal(stdout, `${region} ${region} s3\n`)
    }
    await serves(80)
    const ports = [{ protocol: 'tcp', port: 8080 }]
    await platform.must(200, ams, 'POST', '/apps/heron/network_policies', {
      ...{ name: 'inner', selector: { machines: [{ id: idIn('iad') }] } },
      rules: [{ action: 'allow', direction: 'ingress', ports }],
    })
    await serves(80) // it holds from the next start on
  })

  await t.test('reach the API by a socket of their own, as themselves alone', async () => {
    const id = idIn('nrt')
    const own = await platform.callFrom(id, 'GET', `${machines}/${id}`)
    assert.deepEqual([own.status, own.json.id], [200, id])
    const other = await platform.callFrom(id, 'POST', `${machines}/${idIn('ams')}/stop`)
    assert.deepEqual([other.status, other.json], [403, { error: 'unauthorized' }])
    const { status, json } = await platform.callFrom(id, 'POST', '/tokens/oidc', { aud: 'me' })
    assert.equal(status, 200)
    const claims = JSON.parse(Buffer.from(json.split('.')[1], 'base64url').toString())
    const { iss, aud, machine_id: machine } = claims
    assert.deepEqual([iss, aud, machine], [`${ISSUER}/birds`, 'me', id])
  })

  await t.test(
    'are served while the CA of the cluster and the key of its hosts are changed',
    async () => {
      await changeAuthority(platform, [...HOSTS, BESIDE], async () => {
        const path = `${machines}/${idIn('nrt')}/exec`
        const { stdout } = await platform.must(200, iad, 'POST', path, {
          command: ['echo', 'here'],
        })
        assert.equal(stdout, 'here\n')
      })
    },
  )

  await t.test(
    'move to a host that joins while the cluster runs, and nobody else is restarted',
    async () => {
      const running = async () => {
        const all = await Promise.all([...HOSTS, BESIDE].map((host) => platform.box.parts(host)))
        return all.flat().map(({ name, pid }) => `${name} ${pid}`)
      }
      const before = await running()
      await platform.joinHost(JOINING, { gateway: iad, region: 'iad' })
      await platform.setMode(iad, 'draining')
      const status = () => platform.flyd(JOINING)
      const has = (seen: FlydSeen | undefined) => seen?.machines['started'] === 1
      await eventually('the machine to be on the host that joined', status, has, LONG_MS)
      await platform.setMode(iad, 'open')
      const exec = () =>
        platform.call(ams, 'POST', `${machines}/${idIn('iad')}/exec`, { command: ['hostname'] })
      const isFound = ({ status: code }: { status: number }) => code === 200
      const { json } = await eventually('it to be found there', exec, isFound, LONG_MS)
      assert.equal(json.stdout, `${idIn('iad')}\n`)
      assert.deepEqual(await running(), before)
    },
  )

  await t.test('stop, start under the policies of their app, and are destroyed', async () => {
    const path = `${machines}/${idIn('iad')}`
    await platform.must(200, iad, 'POST', `${path}/stop`)
    await waitFor(idIn('iad'), 'stopped', iad)
    await platform.must(200, ams, 'POST', `${path}/start`)
    await waitFor(idIn('iad'), 'started')
    const command = ['httpd', '-p', '8080', '-h', '/www']
    await platform.must(200, iad, 'POST', `${path}/exec`, { command })
    await serves(8080)
    await eventually(
      'a policed port',
      () => page(80),
      (got) => got === '',
      LONG_MS,
    )
    await platform.must(200, ams, 'DELETE', `${path}?force=true`)
    await waitFor(idIn('iad'), 'destroyed')
  })

  await t.test('go with their host when that is removed from the cluster', async () => {
    const remove = () =>
      platform.godwit(iad, ['host', 'remove', JOINING]).catch((error: unknown) => String(error))
    assert.match(await remove(), /still answers/)
    await world.kill(JOINING)
    await eventually('it to be removed', remove, (said) => /is removed/.test(said), LONG_MS)
    const hosts = () => platform.godwit(ams, ['host', 'list', '--json'])
    await eventually('nobody to know it', hosts, (said) => !said.includes(JOINING), LONG_MS)
  })

  await t.test('move to another host of their region when theirs is drained', async () => {
    const id = idIn('ams')
    const has = async (host: string) => (await platform.flyd(host))?.machines['started'] === 1
    const [from, to] = (await has(ams)) ? [ams, BESIDE] : [BESIDE, ams]
    await platform.setMode(from, 'draining')
    const status = () => platform.flyd(from)
    const isEmpty = (seen: FlydSeen | undefined) =>
      seen?.guests === 0 && seen.machines['migrated'] === 1
    const left = await eventually('the host to be empty', status, isEmpty, LONG_MS)
    assert.deepEqual(left?.evacuation, { moving: [], stay: [] })
    assert.equal(await has(to), true)
    const exec = () =>
      platform.call(iad, 'POST', `${machines}/${id}/exec`, { command: ['sh', '-c', 'echo $WHERE'] })
    const isFound = ({ status: code }: { status: number }) => code === 200
    const { json } = await eventually('it to be found there', exec, isFound, LONG_MS)
    assert.equal(json.stdout, 'ams\n')
    await platform.setMode(from, 'open')
  })

  await t.test('can be made to stand in for those of another host', async () => {
    const config = { image: IMAGE, standbys: [idIn('nrt')] }
    const body = { region: 'ams', skip_launch: true, config }
    const { id } = await platform.must(200, ams, 'POST', machines, body)
    standby = id
    await waitFor(id, 'stopped')
  })

  await t.test('of a host that is dead are unreachable, and no others', async () => {
    await world.kill(nrt)
    const statuses = async () => {
      const seen = await list(ams)
      return Object.fromEntries(seen.map((one) => [one.region, one.host_status]))
    }
    const isKnown = (seen: Record<string, string>) => seen['nrt'] === 'unreachable'
    const seen = await eventually('the dead host', statuses, isKnown, LONG_MS)
    assert.equal(seen['ams'], 'ok')
    const path = `${machines}/${idIn('ams')}/exec`
    await platform.must(200, ams, 'POST', path, { command: ['true'] })
    const { status } = await platform.call(ams, 'POST', `${machines}/${idIn('nrt')}/stop`)
    assert.equal(status, 503)
    await waitFor(standby, 'started')
  })

  await t.test('are made whole or not at all when flaps dies under way', async () => {
    for (const [index, killAfterMs] of [5, 60, 150].entries()) {
      const body = { name: `mid-${index}`, region: 'ams', config: { image: IMAGE } }
      const creating = platform.call(iad, 'POST', machines, body).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, killAfterMs))
      await platform.killFlaps(iad)
      await creating
      await platform.gatewayReady(iad)
    }
    const isSettled = (seen: FlydSeen | undefined) =>
      seen?.runs === 0 && seen.capacity.reservations === 0
    let count = 0
    for (const host of [ams, BESIDE]) {
      const status = () => platform.flyd(host)
      await eventually('no run and no reservation is left', status, isSettled, LONG_MS)
      const { migrated: _, ...living } = (await status())?.machines ?? {}
      for (const [state, many] of Object.entries(living)) {
        assert.equal(state, 'started')
        count += many
      }
    }
    const here = (found: Shown[]) => found.filter(({ region }) => region === 'ams').length === count
    await eventually('all that are there are listed', () => list(ams), here, LONG_MS)
  })

  await t.test('go on without NATS, which only new ones need', async () => {
    await platform.stopNats()
    const path = `${machines}/${idIn('ams')}`
    await platform.must(200, ams, 'POST', `${path}/stop`)
    await waitFor(idIn('ams'), 'stopped')
    await platform.must(200, iad, 'POST', `${path}/start`)
    await waitFor(idIn('ams'), 'started', iad)
    const body = { region: 'ams', config: { image: IMAGE } }
    const { status } = await platform.call(ams, 'POST', machines, body)
    assert.equal(status, 503)
  })

  await t.test('run again when their host is back, and all go with their app', async () => {
    await world.boot(nrt)
    await world.settle()
    await platform.startHost(nrt)
    const status = () => platform.flyd(nrt)
    await eventually(
      'the machine of nrt',
      status,
      (seen) => seen?.machines['stopped'] === 1 || seen?.machines['started'] === 1,
      LONG_MS,
    )
    const isBack = (seen: Shown[]) =>
      seen.some((one) => one.region === 'nrt' && one.host_status === 'ok')
    await eventually('the host to count as there', () => list(ams), isBack, LONG_MS)
    await waitFor(standby, 'stopped')
    await platform.must(202, ams, 'DELETE', '/apps/heron?force=true')
    for (const host of [...HOSTS, BESIDE]) {
      const gone = (seen: FlydSeen | undefined) =>
        seen?.guests === 0 &&
        seen.runs === 0 &&
        Object.keys(seen?.machines ?? {}).every((one) => GONE.includes(one))
      await eventually(`all of ${host} to go`, () => platform.flyd(host), gone, LONG_MS)
    }
  })
})
