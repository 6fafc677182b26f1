import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'node:test'
import { createLog, systemClock } from '#base'
import { type Figure, type Labels, parseMetrics } from '#observe'
import { machineSeen, TestView, volumeSeen } from '../rows/view.fixture.ts'
import { HostMetrics, type HostMetricsOptions } from './host-metrics.ts'
import { appMetricsOf } from './scrape-app.ts'

const never = new AbortController().signal
const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const birds = { orgId: 'org1', apps: [{ id: 'app1', name: 'heron' }] }
const everything = { ...birds, selectors: ['{__name__=~".+"}'] }

function newMetrics(view: TestView, changes: Partial<HostMetricsOptions> = {}): HostMetrics {
  return new HostMetrics({
    ...{ hostId: 'h1', region: 'ams', view, clock: systemClock, log },
    statsOf: async () => [],
    addressesOf: () => ['127.0.0.1'],
    ...changes,
  })
}

/** Label values of all series of that name, and the value. */
async function seriesIn(text: string, name: string): Promise<string[]> {
  const families = await parseMetrics(text)
  const all = families.flatMap(({ series }) => series).filter((one) => one.name === name)
  const told = (labels: Labels) => [...labels].map(([label, value]) => `${label}=${value}`).sort()
  return all.map(({ labels, value }) => `${told(labels).join(' ')} is ${value}`)
}

async function serving(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const HERE = 'app=heron host=h1 instance=m1 region=ams'

test('an organisation gets its machines alone, named by app, region, host and instance', async () => {
  const view = new TestView()
  view.put(machineSeen('m1'))
  view.put(machineSeen('m2', { state: 'stopped' }))
  view.put(machineSeen('m3', { orgId: 'org2', appName: 'trout' }))
  view.put(machineSeen('m4', { state: 'destroyed' }))
  const statsOf = async (): Promise<readonly Figure[]> => [
    { name: 'fly_instance_cpu', type: 'counter', value: 7, labels: { cpu_id: '0', mode: 'user' } },
  ]
  const { text } = await newMetrics(view, { statsOf }).answer(everything, never)
  assert.deepEqual(await seriesIn(text, 'fly_instance_up'), [`${HERE} is 1`])
  const labelled = 'app=heron cpu_id=0 host=h1 instance=m1 mode=user region=ams is 7'
  assert.deepEqual(await seriesIn(text, 'fly_instance_cpu'), [labelled])
  assert(!text.includes('m3') && !text.includes('m4'))
})

test('a machine that does not answer is told as one that is not up, and the others are told', async () => {
  const view = new TestView()
  view.put(machineSeen('m1'))
  view.put(machineSeen('m2'))
  const statsOf = async (id: string) => {
    if (id === 'm2') throw new Error('its channel broke')
    return []
  }
  const { text } = await newMetrics(view, { statsOf }).answer(everything, never)
  const up = await seriesIn(text, 'fly_instance_up')
  assert.deepEqual(up, [`${HERE} is 1`, `${HERE.replace('m1', 'm2')} is 0`])
})

test("an app's own figures bear the platform's labels, and cannot say they are the platform's", async () => {
  const seen: (string | undefined)[] = []
  await using app = await serving((request, response) => {
    seen.push(request.url)
    response.end(
      '# TYPE eggs counter\neggs{app="tern",nest="1"} 3\nfly_instance_up{app="tern"} 1\ngodwit_host_up 0\n',
    )
  })
  const view = new TestView()
  view.put(machineSeen('m1', { config: { metrics: { port: app.port, path: '/figures' } } }))
  const metrics = newMetrics(view)
  const { text } = await metrics.answer(everything, never)
  assert.deepEqual(await seriesIn(text, 'eggs'), [
    `app=heron host=h1 instance=m1 nest=1 region=ams is 3`,
  ])
  assert.deepEqual(await seriesIn(text, 'fly_instance_up'), [`${HERE} is 1`])
  assert.deepEqual(await seriesIn(text, 'godwit_host_up'), [])
  assert.deepEqual(await seriesIn(text, 'godwit_scrape_up'), [`${HERE} is 1`])
  const some = await metrics.answer({ ...birds, selectors: ['eggs{nest="1"}'] }, never)
  assert.match(some.text, /^# TYPE eggs counter\neggs\{[^\n]*\} 3\n$/)
  assert.deepEqual(seen, ['/figures'], 'who asks again soon costs the machine nothing')
})

test('an app that answers nonsense, too much, or elsewhere is told as not scraped', async () => {
  const answers: readonly RequestListener[] = [
    (_, response) => response.end('<html>'),
    (_, response) => response.writeHead(500).end('eggs 1\n'),
    (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    (_, response) => response.end(`${'#'.repeat(17 * 2 ** 20)}\n`),
  ]
  for (const answer of answers) {
    await using app = await serving(answer)
    const view = new TestView()
    view.put(machineSeen('m1', { config: { metrics: { port: app.port, path: '/' } } }))
    const { text } = await newMetrics(view).answer(everything, never)
    assert.deepEqual(await seriesIn(text, 'godwit_scrape_up'), [`${HERE} is 0`])
    assert.deepEqual(await seriesIn(text, 'fly_instance_up'), [`${HERE} is 1`])
  }
})

test("the proxy's figures are those of the organisation's apps", async () => {
  const name = 'fly_edge_http_responses_count'
  const proxyText = async () =>
    `# TYPE ${name} counter\n${name}{app="heron",region="ams",status="200"} 2\n${name}{app="trout",region="ams"} 5\n` +
    'fly_edge_tcp_connects_count{region="ams"} 9\n'
  const { text } = await newMetrics(new TestView(), { proxyText }).answer(everything, never)
  assert.deepEqual(await seriesIn(text, name), ['app=heron host=h1 region=ams status=200 is 2'])
  assert(!text.includes('trout') && !text.includes('tcp_connects'))
  const away = async () => Promise.reject(new Error('it is being restarted'))
  assert.equal(
    (await newMetrics(new TestView(), { proxyText: away }).answer(everything, never)).text,
    '',
  )
})

test('volumes tell their size, and how full they are while a machine has them', async () => {
  const view = new TestView()
  view.put(
    machineSeen('m1', {
      config: { mounts: [{ volume: 'v1', path: '/data' } as { volume: string }] },
    }),
  )
  view.putVolume(volumeSeen('v1', { machineId: 'm1', sizeGb: 2 }))
  view.putVolume(volumeSeen('v2', { sizeGb: 1 }))
  view.putVolume(volumeSeen('v3', { orgId: 'org2' }))
  const disk = (what: string, value: number): Figure => ({
    ...{
      name: `fly_instance_filesystem_${what}`,
      type: 'gauge',
      value,
      labels: { mount: '/data' },
    },
  })
  const statsOf = async () => [disk('blocks', 1000), disk('blocks_avail', 750)]
  const { text } = await newMetrics(view, { statsOf }).answer(everything, never)
  const of = (id: string) => `app=heron host=h1 id=${id} region=ams`
  const sizes = [`${of('v1')} is ${2 ** 31}`, `${of('v2')} is ${2 ** 30}`]
  assert.deepEqual(await seriesIn(text, 'fly_volume_size_bytes'), sizes)
  assert.deepEqual(await seriesIn(text, 'fly_volume_used_pct'), [`${of('v1')} is 25`])
})

test('how a machine ended last is told also when it runs no more', async () => {
  const exit = { exit_code: 137, guest_exit_code: 9, oom_killed: true }
  const events = [{ type: 'stop' }, { type: 'exit', request: { exit_event: exit } }]
  const view = new TestView()
  view.put(machineSeen('m1', { state: 'stopped', events }))
  const { text } = await newMetrics(view).answer(everything, never)
  for (const [name, value] of [
    ['code', 9],
    ['oom', 1],
    ['vm_code', 137],
  ]) {
    assert.deepEqual(await seriesIn(text, `fly_instance_exit_${name}`), [`${HERE} is ${value}`])
  }
})

test('what a configuration says of metrics is asked for as far as it can be', () => {
  assert.deepEqual(appMetricsOf({}), undefined)
  assert.deepEqual(appMetricsOf({ metrics: { port: 0, path: '/' } }), undefined)
  assert.deepEqual(appMetricsOf({ metrics: { port: '80' } }), undefined)
  const asked = { port: 9091, path: '/metrics', isTls: false }
  assert.deepEqual(appMetricsOf({ metrics: { port: 9091 } }), asked)
  assert.deepEqual(appMetricsOf({ metrics: { port: 9091, path: 'metrics' } }), asked)
  assert.deepEqual(appMetricsOf({ metrics: { port: 9091, path: 'a b\r\nx: y' } }), asked)
  const tls = appMetricsOf({ metrics: { port: 1, path: '/m', https: true } })
  assert.deepEqual(tls, { port: 1, path: '/m', isTls: true })
})
