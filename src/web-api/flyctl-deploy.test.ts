import assert from 'node:assert/strict'
import test from 'node:test'
import { DIGEST, WebWorld } from './fixture/web-world.ts'

const IMAGE = 'registry.example/heron:1'
const app_name = 'heron'
const definition = { app: app_name, primary_region: 'ams' }
const metadata = { fly_platform_version: 'v2', fly_process_group: 'app' }
const guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 256 }

/** A client that deploys: what it asks before it comes to machines, and after. */
function client(world: WebWorld, token: string) {
  const must = async (status: number, method: string, path: string, body?: unknown) => {
    const reply = await world.call(method, path, body, token)
    assert.equal(reply.status, status, `${method} ${path}: ${JSON.stringify(reply.body)}`)
    return reply.body
  }
  const ask = async (query: string, variables: Readonly<Record<string, unknown>>) => {
    const { data, errors } = await world.ask(query, variables, token)
    assert.deepEqual(errors, [])
    return data
  }
  const begin = async (strategy: string): Promise<{ id: string; image: string }> => {
    const app = await must(200, 'GET', '/apps/heron')
    await must(200, 'GET', `/api/v1/organizations/${app.organization.slug}`)
    const { id: build_id } = await must(200, 'POST', '/api/v1/builds', {
      ...{ app_name, builder_type: 'depot.dev', strategies_available: [] },
    })
    const found = await ask(
      `query($app: String!, $image: String!) { app(name: $app) { image(ref: $image) {
         id digest ref compressedSize: compressedSizeFull } } }`,
      { app: app_name, image: IMAGE },
    )
    const image = found.app.image.ref
    const final_image = { id: found.app.image.id, size_bytes: 5, tag: image }
    await must(200, 'POST', '/api/v1/builds/finish', {
      ...{ app_name, build_id, status: 'completed', final_image },
    })
    await must(200, 'GET', '/apps/heron/machines')
    const { release } = await must(201, 'POST', '/api/v1/releases', {
      ...{ app_name, build_id, definition, image, strategy },
    })
    await ask('query($app: String!) { app(name: $app) { egressIpAddresses { nodes { id } } } }', {
      app: app_name,
    })
    await must(200, 'PATCH', `/api/v1/releases/${release.id}`, {
      status: 'running',
      metadata: null,
    })
    return { id: release.id, image }
  }
  const end = (id: string) =>
    must(200, 'PATCH', `/api/v1/releases/${id}`, {
      ...{ status: 'complete', metadata: { post_deployment_info: { error: '' } } },
    })
  return { must, ask, begin, end }
}

test('a first deployment and the next, in the order in which the client asks, with a deploy token', async () => {
  await using world = await WebWorld.open()
  world.images.set(IMAGE, { ref: IMAGE, digest: DIGEST, bytes: 5 })
  const token = world.newToken('deploy', 'birds', { app: 'heron' })
  const { must, ask, begin, end } = client(world, token)
  assert.equal((await must(200, 'GET', '/apps/heron')).status, 'pending')

  const first = await begin('ROLLING')
  for (const type of ['v6', 'shared_v4']) {
    await must(200, 'POST', '/apps/heron/ip_assignments', { type, region: '', org_slug: '' })
  }
  const config = { image: first.image, guest, metadata }
  const made = await must(200, 'POST', '/apps/heron/machines', {
    ...{ region: 'ams', config, lease_ttl: 300 },
  })
  const machine = `/apps/heron/machines/${made.id}`
  const lease = (nonce: string) =>
    world.flaps.call('DELETE', `${machine}/lease`, {
      headers: { 'fly-machine-lease-nonce': nonce },
      token,
    })
  await must(200, 'GET', `${machine}/wait?state=started&timeout=60`)
  assert.equal((await lease(made.nonce)).status, 200)
  await end(first.id)

  const second = await begin('ROLLING')
  const { data } = await must(201, 'POST', `${machine}/lease?ttl=13`)
  const update = await world.flaps.call('POST', machine, {
    headers: { 'fly-machine-lease-nonce': data.nonce },
    body: { config: { ...config, env: { COLOUR: 'blue' } } },
    token,
  })
  assert.equal(update.status, 200)
  await must(200, 'GET', `${machine}/wait?state=started&timeout=60`)
  assert.equal((await lease(data.nonce)).status, 200)
  await end(second.id)

  const shown = await ask(
    `query($app: String!) { compact: app(name: $app) { deployed status }
       app(name: $app) { sharedIpAddress releases: releasesUnprocessed(first: 25) {
         nodes { version status imageRef } } currentReleaseUnprocessed { id configDefinition } } }`,
    { app: app_name },
  )
  assert.deepEqual(shown.compact, { deployed: true, status: 'deployed' })
  assert.equal(shown.app.sharedIpAddress, '192.0.2.9')
  const releases = shown.app.releases.nodes.map(
    ({ version, status }: { version: number; status: string }) => [version, status],
  )
  assert.deepEqual(releases, [
    [2, 'complete'],
    [1, 'complete'],
  ])
  assert.deepEqual(shown.app.currentReleaseUnprocessed, {
    ...{ id: second.id, configDefinition: definition },
  })
})

test('what is deployed in vain says so: no such app, no such image, no such release', async () => {
  await using world = await WebWorld.open()
  const { ask } = client(world, world.token)
  const found = await ask(
    '{ app(name: "heron") { image(ref: "registry.example/nobodys:1") { id } } }',
    {},
  )
  assert.deepEqual(found, { app: { image: null } })
  for (const [method, path, body] of [
    ['POST', '/api/v1/builds', { app_name: 'nobodys' }],
    ['POST', '/api/v1/releases', { app_name: 'nobodys', image: IMAGE }],
    ['PATCH', '/api/v1/releases/rel_nobodys', { status: 'running' }],
    ['GET', '/api/v1/organizations/nobodys', undefined],
    ['GET', '/api/v1/apps/nobodys/logs', undefined],
  ] as const) {
    const { status, body: said } = await world.call(method, path, body)
    assert.equal(status, 404, path)
    assert.equal(typeof said.error, 'string')
  }
})
