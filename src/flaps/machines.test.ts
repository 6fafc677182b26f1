import assert from 'node:assert/strict'
import test from 'node:test'
import { pollUntil } from '#base'
import { refuse } from './errors.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { StillClock } from './fixture/still-clock.ts'

const machines = '/apps/heron/machines'

test('a machine is created at once, with an id, a version and the event of its launch', async () => {
  await using world = await FlapsWorld.open()
  const machine = await world.newMachine({ name: 'first' })
  assert.match(machine.id, /^[0-9a-f]{14}$/)
  assert.match(machine.instance_id, /^[0-9A-HJKMNP-TV-Z]{26}$/)
  assert.equal(machine.version, machine.instance_id)
  assert.deepEqual([machine.name, machine.region, machine.host_status], ['first', 'ams', 'ok'])
  assert.equal(machine.config.image, 'nginx')
  assert.equal(machine.events.at(-1).type, 'launch')
  assert.equal(world.placement.requests[0]?.guest?.memoryMb, 256)
})

test('a machine without a name gets one of its own, and two of them are two machines', async () => {
  await using world = await FlapsWorld.open()
  const [one, two] = [await world.newMachine(), await world.newMachine()]
  assert.match(one.name, /^[a-z]+-[a-z]+-\d{4}$/)
  assert.notEqual(one.id, two.id)
})

test('one name in parallel on two instances makes one machine, and the loser is told its id', async () => {
  await using world = await FlapsWorld.open()
  world.addInstance()
  world.hosts[0].replicates = false
  const body = { name: 'only', config: { image: 'nginx' } }
  const replies = await Promise.all(
    [0, 1, 0, 1].map((instance) => world.call('POST', machines, { body, instance })),
  )
  const [winner, ...others] = replies.filter(({ status }) => status === 200)
  assert.deepEqual(others, [])
  for (const { status, body } of replies.filter((reply) => reply !== winner)) {
    assert.equal(status, 409)
    assert.equal(
      body.error,
      `already_exists: unique machine name violation, machine ID ${winner?.body.id} already exists with name "only"`,
    )
  }
  assert.equal(world.placement.requests.length, 1, 'a loser reserves nothing')
})

test('a name is free again when its machine is destroyed', async () => {
  await using world = await FlapsWorld.open({ clock: new StillClock() })
  const first = await world.newMachine({ name: 'again' })
  await world.call('DELETE', `${machines}/${first.id}?force=true`)
  const second = await world.call('POST', machines, {
    body: { name: 'again', config: { image: 'nginx' } },
  })
  assert.equal(second.status, 200, JSON.stringify(second.body))
})

test('a create that no host takes says why, in the region and on the host of a volume', async () => {
  await using world = await FlapsWorld.open()
  const volume = await world.call('POST', '/apps/heron/volumes', { body: { name: 'data' } })
  world.placement.full.add('h1')
  const config = { image: 'nginx' }
  const region = await world.call('POST', machines, { body: { name: 'a', config } })
  assert.deepEqual([region.status, region.body.status], [422, 'insufficient_capacity'])
  assert.match(region.body.error, /insufficient memory available to fulfill request/)
  const onVolume = await world.call('POST', machines, {
    body: { config: { ...config, mounts: [{ volume: volume.body.id, path: '/data' }] } },
  })
  assert.deepEqual([onVolume.status, onVolume.body.status], [412, 'volume_placement_capacity'])
  const retry = await world.call('POST', machines, { body: { name: 'a', config, region: 'nrt' } })
  assert.equal(retry.status, 200, 'the failed create kept its name')
})

test('a region is strict, a list is tried in order, any begins nearby, an unknown one is refused', async () => {
  await using world = await FlapsWorld.open()
  const regionsFor = async (region: string) => {
    await world.newMachine({ region })
    return world.placement.requests.at(-1)?.regions
  }
  assert.deepEqual(await regionsFor('nrt'), ['nrt'])
  assert.deepEqual(await regionsFor('nrt,ams'), ['nrt', 'ams'])
  assert.deepEqual(await regionsFor('any'), ['ams', 'nrt'])
  assert.deepEqual(await regionsFor('apac'), ['nrt'])
  const reply = await world.call('POST', machines, {
    body: { config: { image: 'nginx' }, region: 'xxx' },
  })
  assert.equal(reply.status, 400)
  assert.match(reply.body.error, /target region xxx not found/)
})

test('a host that cannot be reached gives everything back, and may be asked again', async () => {
  await using world = await FlapsWorld.open()
  const body = { name: 'first', config: { image: 'nginx' } }
  world.hosts[0].before = () => {
    throw refuse('flaps.host_unreached', 'unavailable: host h1 cannot be reached')
  }
  assert.equal((await world.call('POST', machines, { body })).status, 503)
  assert.equal(world.placement.reserved.size, 0)
  world.hosts[0].before = () => undefined
  assert.equal((await world.call('POST', machines, { body })).status, 200)
})

test('a host that stops answering leaves the name taken, the machine listed, and says 408, not 503', async () => {
  await using world = await FlapsWorld.open()
  world.hosts[0].replicates = false
  const create = world.hosts[0].create.bind(world.hosts[0])
  world.hosts[0].create = async (input, signal) => {
    await create(input, signal)
    throw refuse('flaps.deadline_exceeded', 'deadline_exceeded: host h1 did not answer')
  }
  const body = { name: 'first', config: { image: 'nginx' } }
  assert.equal((await world.call('POST', machines, { body })).status, 408)
  const again = await world.call('POST', machines, { body })
  assert.equal(again.status, 409)
  const list = await world.call('GET', machines)
  assert.deepEqual(
    list.body.map((one: { id: string }) => one.id),
    [/ID (\w+)/.exec(again.body.error)?.[1]],
  )
})

test('reads come from the replica and say so; consistent ones, and those after a write, from the host', async () => {
  const clock = new StillClock()
  await using world = await FlapsWorld.open({ clock })
  const { id } = await world.newMachine()
  const read = async (query = '') => {
    const { headers } = await world.call('GET', `${machines}/${id}${query}`)
    return headers['godwit-source']
  }
  assert.equal(await read(), 'host')
  clock.advance(60_000)
  assert.equal(await read(), 'corrosion')
  assert.equal(await read('?consistent=true'), 'host')
  await world.call('POST', `${machines}/${id}/stop`)
  assert.equal(await read(), 'host')
})

test('a machine is listed at once where it was made, and elsewhere when its row arrives', async () => {
  await using world = await FlapsWorld.open()
  world.addInstance()
  world.hosts[0].replicates = false
  const { id } = await world.newMachine()
  const listed = async (instance: number) => {
    const { body } = await world.call('GET', machines, { instance })
    return body.map((one: { id: string }) => one.id)
  }
  assert.deepEqual(await listed(0), [id])
  assert.deepEqual(await listed(1), [])
  world.hosts[0].replicate()
  assert.deepEqual(await listed(1), [id])
})

test('when a host is gone its machines stay in the list, as unreachable and without a config', async () => {
  const clock = new StillClock()
  await using world = await FlapsWorld.open({ clock })
  const { id } = await world.newMachine({ config: { image: 'nginx', metadata: { a: 'b' } } })
  clock.advance(60_000)
  world.database.exec("DELETE FROM hosts WHERE id = 'h1'")
  const { body } = await world.call('GET', machines)
  assert.deepEqual(
    [body[0].id, body[0].host_status, body[0].config],
    [id, 'unreachable', undefined],
  )
  assert.deepEqual(body[0].incomplete_config.metadata, { a: 'b' })
})

test('an empty app lists nothing, an unknown one is not found, and a foreign one is forbidden', async () => {
  await using world = await FlapsWorld.open()
  assert.deepEqual((await world.call('GET', machines)).body, [])
  const unknown = await world.call('GET', '/apps/nobody/machines')
  assert.deepEqual([unknown.status, unknown.body.error], [404, 'Could not find App "nobody"'])
  const foreign = await world.call('GET', '/apps/trout/machines')
  assert.deepEqual([foreign.status, foreign.body], [403, { error: 'unauthorized' }])
})

test('a list is filtered by region, state and exact metadata, all of which must hold', async () => {
  await using world = await FlapsWorld.open()
  const metadata = { 'a.b': 'ü', role: 'web' }
  const one = await world.newMachine({ config: { image: 'nginx', metadata } })
  await world.newMachine({ config: { image: 'nginx', metadata: { role: 'web' } } })
  await world.newMachine({ region: 'nrt', skip_launch: true })
  const count = async (query: string) =>
    (await world.call('GET', `${machines}?${query}`)).body.length
  assert.equal(await count('metadata.role=web'), 2)
  assert.equal(await count('metadata.role=web&metadata.a.b=%C3%BC'), 1)
  assert.equal(await count('metadata.role=we'), 0)
  assert.equal(await count('region=nrt'), 1)
  assert.equal(await count('state=stopped,suspended'), 1)
  assert.equal(await count('state=started&state=stopped'), 3)
  const { body } = await world.call('GET', `${machines}?summary=true&metadata.a.b=%C3%BC`)
  assert.equal(body[0].id, one.id)
  assert.equal(body[0].config, undefined)
})

test('an update makes a new version, and one that was made for another is refused', async () => {
  await using world = await FlapsWorld.open()
  const machine = await world.newMachine()
  const config = { image: 'nginx:2' }
  const update = (current_version: string) =>
    world.call('POST', `${machines}/${machine.id}`, { body: { config, current_version } })
  const updated = await update(machine.instance_id)
  assert.equal(updated.status, 200)
  assert.notEqual(updated.body.instance_id, machine.instance_id)
  const stale = await update(machine.instance_id)
  assert.deepEqual(
    [stale.status, stale.body],
    [409, { error: 'aborted: machine update failed due to concurrent update' }],
  )
  const versions = await world.call('GET', `${machines}/${machine.id}/versions`)
  assert.deepEqual(
    versions.body.map((one: { user_config: { image: string } }) => one.user_config.image),
    ['nginx:2', 'nginx'],
  )
})

test('of two updates at once one wins', async () => {
  await using world = await FlapsWorld.open()
  world.addInstance()
  const { id } = await world.newMachine()
  world.hosts[0].isSlow = true
  const body = { config: { image: 'nginx:2' } }
  const replies = await Promise.all(
    [0, 1].map((instance) => world.call('POST', `${machines}/${id}`, { body, instance })),
  )
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 409])
})

test('name and region cannot be changed', async () => {
  await using world = await FlapsWorld.open()
  const { id, name } = await world.newMachine()
  const config = { image: 'nginx' }
  const update = async (body: object) =>
    (await world.call('POST', `${machines}/${id}`, { body: { config, ...body } })).status
  assert.equal(await update({ region: 'nrt' }), 400)
  assert.equal(await update({ name: 'other' }), 400)
  assert.equal(await update({ name, region: 'ams' }), 200)
})

test('a start that comes too early is refused as documented, and succeeds later', async () => {
  await using world = await FlapsWorld.open()
  const [host] = world.hosts
  host.isSlow = true
  const { id } = await world.newMachine()
  const start = async () => world.call('POST', `${machines}/${id}/start`)
  const early = await start()
  assert.deepEqual(
    [early.status, early.body.error],
    [412, "failed_precondition: unable to start machine from current state: 'created'"],
  )
  await host.settle()
  assert.deepEqual((await start()).body, {
    previous_state: 'started',
    migrated: false,
    new_host: '',
  })
  await world.call('POST', `${machines}/${id}/stop`)
  await host.settle()
  assert.equal((await start()).status, 200)
  const twice = await start()
  assert.deepEqual(
    [twice.status, twice.body.error],
    [409, 'aborted: machine still attempting to start'],
  )
})

test('a stop takes a signal and a time in every documented form, and refuses others', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const stop = async (body?: unknown) => {
    await world.call('POST', `${machines}/${id}/start`)
    return (await world.call('POST', `${machines}/${id}/stop`, { body })).status
  }
  for (const body of [
    undefined,
    '',
    {},
    { id, timeout: '0s' },
    { timeout: '10s' },
    { timeout: 10 },
  ]) {
    assert.equal(await stop(body), 200, JSON.stringify(body))
  }
  assert.equal(await stop({ signal: 'SIGTERM', timeout: '1m30s' }), 200)
  assert.deepEqual(world.hosts[0].sent, [
    'default default',
    'default default',
    'default default',
    'default default',
    'default 10000',
    'default 10000',
    'SIGTERM 90000',
  ])
  assert.equal(await stop({ signal: 'SIGFOO' }), 400)
  assert.equal(await stop({ timeout: 'soon' }), 400)
  assert.equal(await stop([]), 400)
})

test('stop, suspend, cordon and uncordon may be sent twice', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine({ skip_service_registration: true })
  const act = async (verb: string) => (await world.call('POST', `${machines}/${id}/${verb}`)).body
  assert.equal((await world.call('GET', `${machines}/${id}`)).body.cordoned, true)
  for (const verb of ['uncordon', 'cordon', 'suspend', 'stop']) {
    assert.deepEqual(await act(verb), { ok: true })
    assert.deepEqual(await act(verb), { ok: true })
  }
})

test('restart takes a time in seconds or as Go writes it', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  for (const query of ['timeout=30', 'timeout=30s', 'timeout=1m&force_stop=true']) {
    assert.equal((await world.call('POST', `${machines}/${id}/restart?${query}`)).status, 200)
  }
  assert.deepEqual(world.hosts[0].sent, [
    'restart 30000 false',
    'restart 30000 false',
    'restart 60000 true',
  ])
})

test('a signal is a name or a number', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const send = async (signal: unknown) =>
    (await world.call('POST', `${machines}/${id}/signal`, { body: { signal } })).status
  assert.deepEqual([await send(9), await send('SIGUSR1'), await send('sigterm')], [200, 200, 200])
  assert.deepEqual(world.hosts[0].sent, ['SIGKILL', 'SIGUSR1', 'SIGTERM'])
  assert.deepEqual([await send('SIGFOO'), await send(''), await send(1e9)], [400, 400, 400])
})

test('a machine that runs is destroyed only with force or kill', async () => {
  await using world = await FlapsWorld.open()
  for (const query of ['force=true', 'kill=true']) {
    const { id } = await world.newMachine()
    const refused = await world.call('DELETE', `${machines}/${id}`)
    assert.equal(refused.status, 412)
    assert.match(
      refused.body.error,
      /^failed_precondition: unable to destroy machine, not currently/,
    )
    const destroyed = await world.call('DELETE', `${machines}/${id}?${query}`)
    assert.deepEqual([destroyed.status, destroyed.body], [200, { ok: true }])
    const { body } = await world.call('GET', `${machines}/${id}`)
    assert.equal(body.state, 'destroyed')
  }
  assert.deepEqual((await world.call('GET', machines)).body, [])
  assert.equal((await world.call('GET', `${machines}?include_deleted=true`)).body.length, 2)
})

test('an id that is none is a bad request, an unknown one and one of another app are not found', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const bad = await world.call('GET', `${machines}/first`)
  assert.deepEqual([bad.status, bad.body.error], [400, "invalid machine ID, 'first'"])
  for (const path of [`${machines}/00000000000000`, `/apps/tern/machines/${id}`]) {
    const reply = await world.call('GET', path)
    assert.deepEqual([reply.status, reply.body.error], [404, 'not_found: machine not found'])
  }
})

test('events are newest first, at most as many as asked for', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  await world.call('POST', `${machines}/${id}/stop`)
  const { body } = await world.call('GET', `${machines}/${id}/events?limit=2`)
  assert.deepEqual(
    body.map((one: { status: string }) => one.status),
    ['stopped', 'stopping'],
  )
})

test('metadata is merged; null and an empty text remove; nothing restarts', async () => {
  await using world = await FlapsWorld.open()
  const config = { image: 'nginx', metadata: { a: '1', b: '2', c: '3' } }
  const { id, instance_id: version } = await world.newMachine({ config })
  const path = `${machines}/${id}/metadata`
  const patch = await world.call('PATCH', path, { body: { metadata: { a: null, b: '', d: '4' } } })
  assert.deepEqual([patch.status, patch.body], [204, ''])
  assert.deepEqual((await world.call('GET', path)).body, { c: '3', d: '4' })
  assert.equal((await world.call('POST', `${path}/e`, { body: { value: '5' } })).status, 204)
  assert.deepEqual((await world.call('GET', `${path}/e`)).body, { value: '5' })
  assert.equal((await world.call('DELETE', `${path}/e`)).status, 204)
  assert.equal((await world.call('GET', `${path}/e`)).status, 404)
  const guarded = { metadata: { f: '6' }, machine_version: '01M84CGBMWCNDY0YP57RCYBVN5' }
  assert.equal((await world.call('PUT', path, { body: guarded })).status, 412)
  const { body } = await world.call('GET', `${machines}/${id}`)
  assert.equal(body.instance_id, version)
})

test('exec answers 200 with the exit code, takes a line or arguments, and needs a machine that runs', async () => {
  await using world = await FlapsWorld.open()
  const [host] = world.hosts
  const { id } = await world.newMachine()
  const seen: unknown[] = []
  const exec = host.exec.bind(host)
  host.exec = (machine, options, signal) => {
    seen.push((options as { command: unknown }).command)
    return exec(machine, options, signal)
  }
  host.execResult = { exit_code: 1, exit_signal: 0, stdout: '', stderr: 'no\n' }
  const run = (body: unknown) => world.call('POST', `${machines}/${id}/exec`, { body })
  assert.deepEqual((await run({ command: ['false'] })).body, host.execResult)
  await run({ cmd: `sh -c 'echo "a b"' "c d" e\\ f ''` })
  assert.deepEqual(seen, [['false'], ['sh', '-c', 'echo "a b"', 'c d', 'e f', '']])
  assert.equal((await run({})).status, 400)
  assert.equal((await run({ cmd: "sh 'open" })).status, 400)
  assert.equal((await run({ command: ['ls'], timeout: 61 })).status, 400)
  await world.call('POST', `${machines}/${id}/stop`)
  const stopped = await run({ command: ['ls'] })
  assert.deepEqual(
    [stopped.status, stopped.body.error],
    [412, 'failed_precondition: machine not running'],
  )
})

test('the memory of a machine that runs is shown, limited and reclaimed', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const path = `${machines}/${id}/memory`
  const set = (limit_mb: unknown) => world.call('PUT', path, { body: { limit_mb } })
  const reclaim = (amount_mb: unknown) =>
    world.call('POST', `${path}/reclaim`, { body: { amount_mb } })
  assert.deepEqual((await world.call('GET', path)).body, { limit_mb: 256, available_mb: 256 })
  assert.deepEqual((await set(64)).body, { limit_mb: 64, available_mb: 64 })
  assert.deepEqual((await world.call('GET', path)).body, { limit_mb: 64, available_mb: 64 })
  assert.deepEqual((await reclaim(100)).body, { actual_mb: 64 })
  for (const bad of [0, -1, 257, 'all', undefined]) assert.equal((await set(bad)).status, 400)
  for (const bad of [0, 1.5, null]) assert.equal((await reclaim(bad)).status, 400)
  await world.call('POST', `${machines}/${id}/stop`)
  for (const reply of [await world.call('GET', path), await set(64), await reclaim(1)]) {
    assert.deepEqual(
      [reply.status, reply.body.error],
      [412, 'failed_precondition: machine not running'],
    )
  }
})

test('processes are sorted by what is asked for', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const pids = async (query: string) => {
    const { body } = await world.call('GET', `${machines}/${id}/ps?${query}`)
    return body.map((one: { pid: number }) => one.pid)
  }
  assert.deepEqual(await pids(''), [1, 301])
  assert.deepEqual(await pids('sort_by=rss'), [301, 1])
  assert.deepEqual(await pids('sort_by=pid&order=desc'), [301, 1])
  assert.equal((await world.call('GET', `${machines}/${id}/ps?sort_by=mood`)).status, 400)
})

test('a client that goes away ends the wait on the host', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const [server] = world.servers
  assert(server !== undefined)
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  const controller = new AbortController()
  const waiting = fetch(`${address}/v1${machines}/${id}/wait?state=stopped`, {
    headers: { authorization: world.orgToken() },
    signal: controller.signal,
  })
  const [host] = world.hosts
  const options = { deadlineMs: 10_000 }
  await pollUntil('the wait to arrive', () => host.waiting === 1, options)
  controller.abort()
  await assert.rejects(waiting, { name: 'AbortError' })
  await pollUntil('the wait to end', () => host.waiting === 0, options)
})

test('a machine that has moved away is in no list of the living, and its name is free', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine({ name: 'gone' })
  world.hosts[0].replicates = false
  world.database.exec(`UPDATE machines SET state = 'migrated'`)
  const elsewhere = world.addInstance()
  assert.equal(world.servers.indexOf(elsewhere), 1) // it has written nothing a moment ago
  const instance = 1
  assert.deepEqual((await world.call('GET', machines, { instance })).body, [])
  const all = await world.call('GET', `${machines}?include_deleted=true`, { instance })
  assert.deepEqual(
    all.body.map((one: { id: string }) => one.id),
    [id],
  )
  const ofOrg = await world.call('GET', '/orgs/birds/machines', { instance })
  assert.deepEqual(ofOrg.body.machines, [])
  const body = { name: 'gone', config: { image: 'nginx' } }
  assert.equal((await world.call('POST', machines, { body, instance })).status, 200)
})

test('what no host can run is refused at once, and reserves nothing', async () => {
  await using world = await FlapsWorld.open()
  const several = [{ name: 'one', image: 'nginx' }]
  for (const config of [
    { image: 'nginx', containers: several },
    { containers: several },
    { image: 'nginx', processes: [{ cmd: ['a'] }, { cmd: ['b'] }] },
    {},
    { image: '' },
  ]) {
    const made = await world.call('POST', machines, { body: { config } })
    assert.equal(made.status, 400, JSON.stringify(config))
    assert.match(made.body.error, /^invalid_argument: /)
  }
  assert.deepEqual(world.placement.requests, [])
  const { id } = await world.newMachine()
  const body = { config: { image: 'nginx', containers: several } }
  assert.equal((await world.call('POST', `${machines}/${id}`, { body })).status, 400)
})
