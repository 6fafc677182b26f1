import assert from 'node:assert/strict'
import test from 'node:test'
import { type Caveat, expiryOf, parseBundle } from '#macaroon'
import { newToken } from './fixture/fixture-tokens.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { StillClock } from './fixture/still-clock.ts'

test('the log of an app comes a page at a time, narrowed to a machine or region', async () => {
  await using world = await FlapsWorld.open()
  world.logs.add('heron', 'm1', 'one')
  world.logs.add('tern', 'm9', "another app's")
  world.logs.add('heron', 'm2', 'two')
  const first = await world.call('GET', '/apps/heron/logs')
  const messages = (body: { data: { attributes: { message: string } }[] }) =>
    body.data.map(({ attributes }) => attributes.message)
  assert.deepEqual(messages(first.body), ['one', 'two'])
  assert.deepEqual(first.body.data[0].attributes.meta, { Event: { Provider: 'app' } })
  world.logs.add('heron', 'm1', 'three')
  const { next_token: token } = first.body.meta
  const second = await world.call('GET', `/apps/heron/logs?next_token=${token}`)
  assert.deepEqual(messages(second.body), ['three'])
  const narrowed = await world.call('GET', '/apps/heron/logs?instance=m2&region=')
  assert.deepEqual(messages(narrowed.body), ['two'])
})

test('a release is kept with its definition, found as the latest, and as the current when it is complete', async () => {
  await using world = await FlapsWorld.open()
  const path = '/apps/heron/releases'
  assert.equal((await world.call('GET', `${path}/latest`)).status, 404)
  const body = { image: 'nginx@sha256:1', strategy: 'BLUEGREEN', definition: { app: 'heron' } }
  const { status, body: made } = await world.call('POST', path, { body })
  assert.equal(status, 201)
  assert.deepEqual([made.version, made.status, made.strategy], [1, 'pending', 'bluegreen'])
  assert.equal((await world.call('GET', `${path}/current`)).status, 404)
  const done = await world.call('PATCH', `${path}/${made.id}`, { body: { status: 'complete' } })
  assert.equal(done.body.status, 'complete')
  const { body: current } = await world.call('GET', `${path}/current`)
  assert.deepEqual(current.definition, { app: 'heron' })
  const { body: listed } = await world.call('GET', path)
  assert.equal(listed.releases[0].image_ref, 'nginx@sha256:1')
  assert.equal(listed.releases[0].definition, undefined)
  const odd = await world.call('PATCH', `${path}/${made.id}`, { body: { status: 'fine' } })
  assert.equal(odd.status, 400)
})

test('an app is created by either name, is pending, and its creation time is in milliseconds', async () => {
  await using world = await FlapsWorld.open()
  for (const field of ['name', 'app_name']) {
    const name = `new-${field.replace('_', '-')}`
    const body = { [field]: name, org_slug: 'birds', network: '', app_role_id: '' }
    const created = await world.call('POST', '/apps?wait=true', { body })
    assert.equal(created.status, 201)
    assert.deepEqual([created.body.id, created.body.name], [name, name])
    assert(created.body.created_at > 1e12)
    const { body: app } = await world.call('GET', `/apps/${name}`)
    assert.deepEqual([app.status, app.network, app.machine_count], ['pending', 'default', 0])
    assert.deepEqual(app.organization, { name: 'Birds', slug: 'birds', internal_numeric_id: 101 })
  }
})

test('a taken name, a bad name and a missing organisation are refused as documented', async () => {
  await using world = await FlapsWorld.open()
  const create = (body: object) => world.call('POST', '/apps', { body })
  const taken = await create({ name: 'heron', org_slug: 'birds' })
  const { fix, ...documented } = taken.body
  assert.equal(taken.status, 422)
  assert.deepEqual(documented, {
    error: 'Validation failed: Name has already been taken',
    status: 'name_taken',
  })
  assert.match(fix, /another name/)
  for (const name of ['', 'Heron', 'a_b', '-a', 'a'.repeat(64)]) {
    const { status, body } = await create({ name, org_slug: 'birds' })
    assert.equal(status, 422, name)
    assert.equal(
      body.error,
      'Validation failed: Name under 63 chars using numbers, lowercase letters and dashes',
    )
  }
  assert.equal((await create({ name: 'new' })).status, 400)
  assert.equal((await create({ name: 'new', org_slug: 'nobody' })).status, 404)
  assert.equal((await create({ name: 'new', org_slug: 'fish' })).status, 403)
})

test('an idempotency key gives the first app again, and refuses another name', async () => {
  await using world = await FlapsWorld.open()
  const create = (name: string | undefined) =>
    world.call('POST', '/apps', { body: { name, org_slug: 'birds', idempotency_key: 'k' } })
  const first = await create('new')
  assert.equal((await create('new')).body.id, first.body.id)
  assert.equal((await create(undefined)).body.id, first.body.id)
  assert.equal((await create('other')).status, 422)
})

test('an organisation lists its own apps', async () => {
  await using world = await FlapsWorld.open()
  await world.newMachine()
  const { body } = await world.call('GET', '/apps?org_slug=birds')
  assert.equal(body.total_apps, 2)
  const heron = body.apps.find((app: { name: string }) => app.name === 'heron')
  assert.deepEqual([heron.machine_count, heron.status], [1, 'deployed'])
  assert.equal((await world.call('GET', '/apps')).status, 400)
})

test('an app with machines that run is deleted only with force, and all it had is gone', async () => {
  await using world = await FlapsWorld.open()
  await world.call('POST', '/apps/heron/volumes', { body: { name: 'idle' } })
  const { body: volume } = await world.call('POST', '/apps/heron/volumes', {
    body: { name: 'data' },
  })
  const mounts = [{ volume: volume.id, path: '/data' }]
  const { id } = await world.newMachine({ config: { image: 'nginx', mounts } })
  const volumes = () =>
    world.database
      .prepare('SELECT state FROM volumes')
      .all()
      .map(({ state }) => state)
  assert.deepEqual(volumes(), ['created', 'created'])
  assert.equal((await world.call('DELETE', '/apps/heron')).status, 412)
  const deleted = await world.call('DELETE', '/apps/heron?force=true')
  assert.deepEqual([deleted.status, deleted.body], [202, ''])
  assert.equal((await world.call('GET', '/apps/heron')).status, 404)
  const states = world.database.prepare('SELECT state FROM machines WHERE id = ?').all(id)
  assert.deepEqual(
    states.map(({ state }) => state),
    ['destroyed'],
  )
  assert.deepEqual(volumes(), ['destroyed', 'destroyed'])
})

test('a deploy token may do everything to its app and nothing else', async () => {
  await using world = await FlapsWorld.open()
  const { body } = await world.call('POST', '/apps/heron/deploy_token', { body: { expiry: '24h' } })
  const token = body.token
  assert.equal((await world.call('GET', '/apps/heron/machines', { token })).status, 200)
  assert.equal((await world.call('GET', '/apps/tern/machines', { token })).status, 403)
  const mint = await world.call('POST', '/apps/tern/deploy_token', { token })
  assert.equal(mint.status, 403)
})

test('a minted token outlives no parent, and a narrowed one mints nothing', async () => {
  await using world = await FlapsWorld.open({ clock: new StillClock() })
  const nowS = world.clock.nowMs() / 1000
  const window: Caveat = { type: 'ValidityWindow', body: { notBefore: 0, notAfter: nowS + 60 } }
  const mint = (token: string, expiry?: string) =>
    world.call('POST', '/apps/heron/deploy_token', { token, body: { expiry } })
  for (const expiry of ['24h', undefined]) {
    const { body } = await mint(world.orgToken(window), expiry)
    const { tokens } = parseBundle(body.token)
    const [token] = tokens.flatMap((one) => ('macaroon' in one ? [one.macaroon] : []))
    assert.equal(expiryOf(token?.caveats ?? []), nowS + 60)
  }
  const narrowed = world.orgToken({
    type: 'IfPresent',
    body: { ifs: [{ type: 'Machines', body: { machines: new Map() } }], else: 0x1f },
  })
  assert.equal((await mint(narrowed)).status, 403)
})

test('secrets show digests, never values; each write is one version, null removes', async () => {
  await using world = await FlapsWorld.open()
  const path = '/apps/heron/secrets'
  const set = await world.call('POST', path, { body: { values: { A: 'hush', B: 'quiet' } } })
  assert.deepEqual([set.status, set.body.version], [200, 1])
  const removed = await world.call('POST', path, { body: { values: { A: null, C: 'still' } } })
  assert.equal(removed.body.version, 2)
  const list = await world.call('GET', `${path}?show_secrets=true&min_version=2`)
  assert.deepEqual(
    list.body.secrets.map((one: { name: string }) => one.name),
    ['B', 'C'],
  )
  assert(!JSON.stringify(list.body).includes('quiet'))
  const one = await world.call('POST', `${path}/D`, { body: { value: 'mute' } })
  assert.deepEqual([one.status, one.body.name, one.body.version], [201, 'D', 3])
  assert.equal((await world.call('GET', `${path}/D`)).status, 200)
  assert.deepEqual((await world.call('DELETE', `${path}/D`)).body.version, 4)
  assert.equal((await world.call('GET', `${path}/D`)).status, 404)
  assert.equal((await world.call('POST', path, { body: { values: { 'a-b': 'x' } } })).status, 400)
})

test('addresses are given, listed and taken away; a pair has two', async () => {
  await using world = await FlapsWorld.open()
  const path = '/apps/heron/ip_assignments'
  const v6 = await world.call('POST', path, { body: { type: 'v6', region: '', network: '' } })
  assert.deepEqual([v6.status, v6.body.region, v6.body.shared], [200, 'global', false])
  const pair = await world.call('POST', path, { body: { type: 'egress_pair' } })
  assert.equal(pair.body.ip, null)
  assert(pair.body.ip_pair.v4 && pair.body.ip_pair.v6)
  assert.equal((await world.call('GET', path)).body.ips.length, 3)
  assert.equal((await world.call('DELETE', `${path}/${v6.body.ip}`)).status, 204)
  assert.equal((await world.call('DELETE', `${path}/${v6.body.ip}`)).status, 404)
  assert.equal((await world.call('POST', path, { body: { type: 'v5' } })).status, 400)
})

test('a volume is created with defaults, extended, kept while a machine has it, and destroyed', async () => {
  await using world = await FlapsWorld.open()
  const path = '/apps/heron/volumes'
  const created = await world.call('POST', path, {
    body: { name: 'data', region: null, size_gb: null, snapshot_id: '', require_unique_zone: null },
  })
  const volume = created.body
  assert.match(volume.id, /^vol_/)
  assert.deepEqual([volume.size_gb, volume.encrypted, volume.fstype], [3, true, 'ext4'])
  const own = `${path}/${volume.id}`
  assert.equal((await world.call('PUT', `${own}/extend`, { body: { size_gb: 2 } })).status, 400)
  const extended = await world.call('PUT', `${own}/extend`, { body: { size_gb: 4 } })
  assert.deepEqual([extended.body.volume.size_gb, extended.body.needs_restart], [4, false])
  const settings = await world.call('PUT', own, {
    body: { snapshot_retention: 7, auto_backup_enabled: null },
  })
  assert.equal(settings.body.snapshot_retention, 7)
  assert.equal((await world.call('PUT', own, { body: { snapshot_retention: 61 } })).status, 400)
  const mounts = [{ volume: volume.id, path: '/data' }]
  const machine = await world.newMachine({ config: { image: 'nginx', mounts } })
  const bound = await world.call('DELETE', own)
  assert.deepEqual(
    [bound.status, bound.body.error],
    [412, `failed_precondition: volume is currently bound to machine: ${machine.id}`],
  )
  await world.call('DELETE', `/apps/heron/machines/${machine.id}?force=true`)
  assert.equal((await world.call('DELETE', own)).body.state, 'destroyed')
  assert.equal((await world.call('GET', path)).body[0].state, 'destroyed')
  assert.equal((await world.call('GET', `/apps/tern/volumes/${volume.id}`)).status, 404)
})

test('a second volume of one name wants another host, unless it is told not to', async () => {
  await using world = await FlapsWorld.open()
  const create = (body: object) =>
    world.call('POST', '/apps/heron/volumes', { body: { name: 'data', ...body } })
  assert.equal((await create({})).status, 200)
  const second = await create({})
  assert.deepEqual([second.status, second.body.status], [422, 'insufficient_capacity'])
  assert.equal((await create({ require_unique_zone: false })).status, 200)
  assert.equal((await create({ region: 'nrt' })).status, 200)
  assert.equal((await create({ name: 'a b' })).status, 400)
  assert.equal((await create({ size_gb: 501 })).status, 400)
})

test('a copy of a volume or snapshot is made on its host, for its own app alone', async () => {
  await using world = await FlapsWorld.open()
  const create = (app: string, body: object) =>
    world.call('POST', `/apps/${app}/volumes`, { body: { name: 'data', ...body } })
  const { body: source } = await create('heron', { region: 'nrt', size_gb: 2 })
  const snapshots = `/apps/heron/volumes/${source.id}/snapshots`
  const { body: taken } = await world.call('POST', snapshots)
  const id = taken.Msg.backup.graph_id
  await world.hosts[1].settle()
  const [shown] = (await world.call('GET', snapshots)).body
  assert.deepEqual([shown.id, shown.status, shown.volume_size], [id, 'created', 2 * 2 ** 30])
  const restored = await create('heron', { snapshot_id: id })
  assert.deepEqual([restored.status, restored.body.size_gb], [200, 2])
  assert.deepEqual([restored.body.region, restored.body.zone], ['nrt', 'h2'])
  const fork = await create('heron', { source_volume_id: source.id })
  assert.deepEqual([fork.status, fork.body.zone], [200, 'h2'])
  assert.equal((await create('heron', { snapshot_id: id, size_gb: 1 })).status, 400)
  for (const app of ['tern', 'trout'] as const) {
    const token =
      app === 'trout'
        ? newToken([{ type: 'Organization', body: { id: 202, mask: 31 } }])
        : undefined
    for (const body of [{ snapshot_id: id }, { source_volume_id: source.id }]) {
      const all = { name: 'data', ...body }
      const options = token === undefined ? { body: all } : { body: all, token }
      const reply = await world.call('POST', `/apps/${app}/volumes`, options)
      assert.equal(reply.status, 404, JSON.stringify(reply.body))
    }
  }
  // Nor by the id of something else that is on the host.
  assert.equal((await create('heron', { snapshot_id: source.id })).status, 404)
})

test('a machine goes where its volume is', async () => {
  await using world = await FlapsWorld.open()
  const { body } = await world.call('POST', '/apps/heron/volumes', {
    body: { name: 'data', region: 'nrt' },
  })
  const mounts = [{ volume: body.id, path: '/data' }]
  await world.newMachine({ config: { image: 'nginx', mounts }, region: 'nrt' })
  assert.equal(world.hosts[1].created.length, 1)
  const foreign = await world.call('POST', '/apps/tern/machines', {
    body: { config: { image: 'nginx', mounts } },
  })
  assert.equal(foreign.status, 404)
})

test('a volume may be used at once where it was made, by one machine', async () => {
  await using world = await FlapsWorld.open()
  const [host] = world.hosts
  host.replicates = false
  const { body: volume } = await world.call('POST', '/apps/heron/volumes', {
    body: { name: 'data' },
  })
  const config = { image: 'nginx', mounts: [{ volume: volume.id, path: '/data' }] }
  await world.newMachine({ config })
  host.replicate()
  const second = await world.call('POST', '/apps/heron/machines', { body: { config } })
  assert.equal(second.status, 412)
  assert.match(second.body.error, /volume already claimed/)
  const elsewhere = await world.call('POST', '/apps/heron/machines', {
    body: { config, region: 'nrt' },
  })
  assert.equal(elsewhere.status, 400)
})

test('pages of an organisation miss no machine that was there throughout, and end', async () => {
  await using world = await FlapsWorld.open()
  const ids = new Set<string>()
  for (let count = 0; count < 5; count += 1) ids.add((await world.newMachine()).id)
  const seen = new Set<string>()
  let path = '/orgs/birds/machines?limit=1'
  for (let pages = 0; ; pages += 1) {
    assert(pages < 30, 'the pages do not end')
    const { body } = await world.call('GET', path)
    for (const machine of body.machines) seen.add(machine.id)
    assert.deepEqual(body.error_regions, [])
    if (pages === 2) await world.call('POST', `/apps/heron/machines/${[...ids][0]}/stop`)
    if (body.next_cursor === undefined) break
    path = `/orgs/birds/machines?limit=1&cursor=${body.next_cursor}`
  }
  assert.deepEqual(
    [...ids].filter((id) => !seen.has(id)),
    [],
  )
  const all = await world.call('GET', '/orgs/birds/machines')
  assert.deepEqual(all.body.machines[0].app_name, 'heron')
  assert.equal(all.body.last_machine_id, all.body.machines.at(-1).id)
  assert.equal((await world.call('GET', '/orgs/birds/machines?cursor=x')).status, 400)
  assert.equal((await world.call('GET', '/orgs/birds/volumes')).status, 200)
})

test('regions and placements are told in lower case, the nearest first', async () => {
  await using world = await FlapsWorld.open()
  const { body } = await world.call('GET', '/platform/regions')
  assert.equal(body.nearest, 'ams')
  assert.deepEqual(
    body.regions.map((one: { code: string; geo_region: string }) => [one.code, one.geo_region]),
    [
      ['ams', 'europe'],
      ['nrt', 'asia_pacific'],
    ],
  )
  const placed = await world.call('POST', '/platform/placements', { body: { org_slug: 'birds' } })
  assert.deepEqual(placed.body.regions[0], { region: 'ams', count: 10, concurrency: 1 })
  assert.equal(placed.body.regions.length, 2)
})

test('a token tells what it is for, and others may ask what a header allows', async () => {
  await using world = await FlapsWorld.open()
  const token = newToken([
    { type: 'Organization', body: { id: 101, mask: 0x1f } },
    { type: 'Apps', body: { apps: new Map([[1001, 0x1f]]) } },
  ])
  const { body } = await world.call('GET', '/tokens/current', { token })
  assert.deepEqual([body.tokens[0].org_slug, body.tokens[0].apps], ['birds', ['heron']])
  const all = await world.call('GET', '/tokens/current')
  assert.deepEqual(all.body.tokens[0].apps, ['*'])
  const header = token.replace('FlyV1 ', '')
  const known = await world.call('POST', '/tokens/authenticate', { token: null, body: { header } })
  assert.equal(known.body[0].caveats[0].type, 'Organization')
  const ask = (access: object) =>
    world.call('POST', '/tokens/authorize', { token: null, body: { header, access } })
  assert.equal((await ask({ action: 'rw', app_name: 'heron' })).status, 200)
  assert.equal((await ask({ action: 'r', app_name: 'tern' })).status, 403)
  assert.equal((await ask({ action: 'r', org_slug: 'birds' })).status, 403)
  assert.equal((await ask({ action: 'r', app_name: 'nobody' })).status, 404)
})
