import assert from 'node:assert/strict'
import test from 'node:test'
import { parseMetrics } from '#observe'
import { newToken } from './fixture/fixture-tokens.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'

const up = (app: string, host: string) =>
  `# TYPE fly_instance_up gauge\nfly_instance_up{app="${app}",host="${host}",instance="m-${host}"} 1\n`
const EVERYTHING = encodeURIComponent('{__name__=~".+"}')

/** As a user's Prometheus asks. */
async function ask(world: FlapsWorld, path: string, authorization = world.orgToken()) {
  const response = await world.servers[0]?.inject({
    method: 'GET',
    url: `/prometheus/birds/${path}`,
    headers: { authorization },
  })
  assert(response !== undefined)
  return response
}

test('what all hosts know of an organisation is one text, by either form of a token', async () => {
  await using world = await FlapsWorld.open()
  const asked: unknown[] = []
  for (const host of world.hosts) {
    host.metricsOf = (question) => {
      asked.push(question)
      return { text: up('heron', host.id), leftOut: 0 }
    }
  }
  const [, bare = ''] = /^FlyV1 (.*)$/.exec(world.orgToken()) ?? []
  for (const token of [world.orgToken(), `Bearer ${bare}`]) {
    const { statusCode, body, headers } = await ask(world, `federate?match[]=${EVERYTHING}`, token)
    assert.equal(statusCode, 200, body)
    assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/)
    assert.equal(headers['godwit-missing-hosts'], undefined)
    const families = await parseMetrics(body)
    const instances = families.find(({ name }) => name === 'fly_instance_up')?.series ?? []
    assert.deepEqual(instances.map(({ labels }) => labels.get('instance')).sort(), ['m-h1', 'm-h2'])
  }
  const names = ['heron', 'tern']
  const [question] = asked as { orgId: string; apps: { name: string }[]; selectors: string[] }[]
  assert.deepEqual(question?.apps.map(({ name }) => name).sort(), names)
  assert.deepEqual(question?.selectors, ['{__name__=~".+"}'])
})

test('a host that does not answer is named, and the others count', async () => {
  await using world = await FlapsWorld.open()
  world.host('h1').metricsOf = () => ({ text: up('heron', 'h1'), leftOut: 0 })
  world.host('h2').before = () => {
    throw new Error('it went away')
  }
  const federated = await ask(world, `federate?match[]=${EVERYTHING}`)
  assert.equal(federated.statusCode, 200)
  assert.equal(federated.headers['godwit-missing-hosts'], 'h2')
  assert.match(federated.body, /^godwit_host_up\{host="h2",region="nrt"\} 0$/m)
  assert.match(federated.body, /^fly_instance_up\{app="heron",host="h1",instance="m-h1"\} 1$/m)
  const series = await ask(world, `api/v1/series?match[]=fly_instance_up`)
  assert.deepEqual(series.json(), {
    status: 'success',
    data: [{ __name__: 'fly_instance_up', app: 'heron', host: 'h1', instance: 'm-h1' }],
    warnings: ['host h2 did not answer: its machines are missing'],
  })
})

test('labels and their values are what there is', async () => {
  await using world = await FlapsWorld.open()
  world.host('h1').metricsOf = () => ({ text: up('heron', 'h1'), leftOut: 0 })
  const labels = (await ask(world, 'api/v1/labels')).json()
  assert.deepEqual(labels.data, ['__name__', 'app', 'host', 'instance', 'region'])
  const names = (await ask(world, 'api/v1/label/__name__/values')).json()
  assert.deepEqual(names.data, ['fly_instance_up', 'godwit_host_up'])
  const apps = (await ask(world, 'api/v1/label/app/values?match[]=fly_instance_up')).json()
  assert.deepEqual(apps.data, ['heron'])
})

test('tokens of others, and those of one app, get nothing; nor do bad selectors', async () => {
  await using world = await FlapsWorld.open()
  const asked: unknown[] = []
  for (const host of world.hosts)
    host.metricsOf = (question) => {
      asked.push(question)
      return { text: '', leftOut: 0 }
    }
  const path = `federate?match[]=${EVERYTHING}`
  const fish = newToken([{ type: 'Organization', body: { id: 202, mask: 0x1f } }])
  const oneApp = world.orgToken({ type: 'Apps', body: { apps: new Map([[1001, 0x1f]]) } })
  const others: [string, number][] = [
    [fish, 403],
    [oneApp, 403],
    ['FlyV1 fm2_nonsense', 401],
    ['Basic eDp5', 401],
  ]
  for (const [token, status] of others) {
    const { statusCode } = await ask(world, path, token)
    assert.equal(statusCode, status, token.slice(0, 30))
  }
  for (const bad of ['federate', 'federate?match[]=rate(up[5m])', 'api/v1/series?match[]={}']) {
    assert.equal((await ask(world, bad)).statusCode, 400, bad)
  }
  assert.deepEqual(asked, [])
})
