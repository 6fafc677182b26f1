import assert from 'node:assert/strict'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net'
import test from 'node:test'
import { createLog, pollUntil, seededRandom, systemClock } from '#base'
import { fc } from '#property'
import { generateClusterCa, generateServerCertificate } from '#trust'
import type { MachineSeen } from '../model/machine-seen.ts'
import { machineSeen, TestView } from '../rows/view.fixture.ts'
import { CheckRunner } from './check-runner.ts'
import { checkSpecs, type HttpProbeSpec, type ProbeSpec } from './check-spec.ts'
import { boundedOutput, OUTPUT_BYTES_MAX, type ProbeTarget, probe } from './probe.ts'

const DEADLINE = { deadlineMs: 20_000 }
const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })

const target: ProbeTarget = {
  addresses: ['::1', '127.0.0.1'],
  exec: async () => ({ exitCode: 0, output: '' }),
}

const never = new AbortController().signal

const http = (port: number, changes: Partial<HttpProbeSpec> = {}): HttpProbeSpec => ({
  type: 'http',
  port,
  method: 'GET',
  path: '/',
  isTls: false,
  skipsVerification: false,
  serverName: undefined,
  headers: [],
  ...changes,
})

async function listening(server: Server) {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    [Symbol.dispose]: () => {
      server.close()
      if ('closeAllConnections' in server)
        (server as ReturnType<typeof createHttp>).closeAllConnections()
    },
  }
}

const serving = (listener: RequestListener) => listening(createHttp(listener))

test('checks of a configuration have the documented names and defaults', () => {
  const specs = checkSpecs({
    checks: {
      alive: { type: 'tcp', port: 8080, kind: 'readiness' },
      deep: {
        type: 'http',
        port: 8080,
        interval: '10s',
        timeout: 1_500_000_000,
        grace_period: '0s',
      },
      own: { type: 'script', command: 'true' },
      none: { type: 'tcp' },
    },
    services: [
      {
        internal_port: 80,
        checks: [
          { type: 'http', method: '', path: 'up', protocol: 'https', tls_server_name: 'a.b' },
          { type: 'tcp', interval: '1ms' },
        ],
      },
    ],
  })
  assert.deepEqual(
    specs.map(({ name, isService, intervalMs, timeoutMs, graceMs }) => [
      name,
      isService,
      intervalMs,
      timeoutMs,
      graceMs,
    ]),
    [
      ['alive', true, 15_000, 2_000, 1_000],
      ['deep', false, 10_000, 1_500, 0],
      ['own', false, 15_000, 2_000, 1_000],
      ['servicecheck-00-http-80', true, 15_000, 2_000, 1_000],
      ['servicecheck-01-tcp-80', true, 1_000, 2_000, 1_000],
    ],
  )
  assert.deepEqual(specs[3]?.probe, http(80, { path: '/up', isTls: true, serverName: 'a.b' }))
  assert.deepEqual(specs[2]?.probe, { type: 'script', command: ['/bin/sh', '-c', 'true'] })
})

test('whatever a configuration holds, its checks are read without an error', () => {
  fc.assert(
    fc.property(fc.anything(), fc.anything(), (checks, services) => {
      checkSpecs({ checks, services })
      checkSpecs({ checks: { one: checks }, services: [services, { checks: [services] }] })
    }),
  )
})

test('tcp passes where a port takes connections, on either address', async () => {
  using open = await listening(createTcp((socket) => socket.end()))
  assert.deepEqual(await probe({ type: 'tcp', port: open.port }, target, never), {
    status: 'passing',
    output: 'Success',
  })
  assert.deepEqual(await probe({ type: 'tcp', port: 1 }, target, never), {
    status: 'critical',
    output: 'connect: connection refused',
  })
})

test('http passes with 2xx alone, follows no redirect, and keeps the head of the body', async () => {
  using server = await serving((request, response) => {
    const status = Number(request.url?.slice(1))
    response.writeHead(status, { location: '/200' }).end(status === 204 ? '' : 'x'.repeat(100_000))
  })
  for (const [status, expected] of [
    [200, 'passing'],
    [204, 'passing'],
    [301, 'critical'],
    [404, 'critical'],
    [503, 'critical'],
  ] as const) {
    const result = await probe(http(server.port, { path: `/${status}` }), target, never)
    assert.equal(result.status, expected, String(status))
    assert.ok(result.output.length <= OUTPUT_BYTES_MAX)
    if (expected === 'critical') assert.match(result.output, new RegExp(`^HTTP ${status}: `))
  }
})

test('http sends method, path and headers as configured', async () => {
  let seen: unknown
  using server = await serving(({ method, url, headers }, response) => {
    seen = { method, url, host: headers.host, probe: headers['x-probe'] }
    response.end()
  })
  const headers = [
    { name: 'Host', values: ['app.example'] },
    { name: 'X-Probe', values: ['1', '2'] },
  ]
  await probe(http(server.port, { method: 'HEAD', path: '/up?x=1', headers }), target, never)
  assert.deepEqual(seen, { method: 'HEAD', url: '/up?x=1', host: 'app.example', probe: '1, 2' })
})

test('https verifies the certificate unless told not to', async () => {
  const ca = await generateClusterCa()
  const made = await generateServerCertificate(ca, { names: ['127.0.0.1'] })
  const tls = { cert: made.certificatePem, key: made.privateKeyPem }
  using server = await listening(createHttps(tls, (_request, response) => response.end('up')))
  const spec = http(server.port, { isTls: true })
  assert.equal((await probe(spec, target, never)).status, 'critical')
  assert.deepEqual(await probe({ ...spec, skipsVerification: true }, target, never), {
    status: 'passing',
    output: 'up',
  })
})

test('a script passes with 0, warns with 1, and is critical with all else', async () => {
  const script: ProbeSpec = { type: 'script', command: ['check'] }
  for (const [exitCode, status] of [
    [0, 'passing'],
    [1, 'warning'],
    [2, 'critical'],
  ] as const) {
    const exec = async () => ({ exitCode, output: '' })
    assert.equal((await probe(script, { ...target, exec }, never)).status, status)
  }
  const broken = { ...target, exec: () => Promise.reject(new Error('no such program')) }
  assert.deepEqual(await probe(script, broken, never), {
    status: 'critical',
    output: 'no such program',
  })
})

test('what does not answer in time is critical', async () => {
  using server = await listening(createTcp(() => undefined))
  const late = AbortSignal.timeout(50)
  assert.deepEqual(await probe(http(server.port), target, late), {
    status: 'critical',
    output: 'context deadline exceeded',
  })
})

test('any output becomes at most 4 KiB of plain, well-formed text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 8_000 }), (text) => {
      const bounded = boundedOutput(text)
      assert.ok(Buffer.byteLength(bounded) <= OUTPUT_BYTES_MAX)
      assert.ok(
        bounded.isWellFormed() && !bounded.includes('\u0000') && !bounded.includes('\u001b'),
      )
    }),
  )
})

/** A runner over `view` whose changes and lines are kept. */
function run(view: TestView, port: number) {
  const changes: string[] = []
  const lines: string[] = []
  const runner = new CheckRunner({
    hostId: 'h1',
    view,
    targetOf: () => target,
    onChange: (id) => void changes.push(id),
    tell: (_id, line) => void lines.push(line),
    clock: systemClock,
    random: seededRandom(1),
    log,
  })
  const checks = { alive: { type: 'http', port, interval: '1s', grace_period: '0s' } }
  const machine = (changed: Partial<MachineSeen> = {}) =>
    machineSeen('m1', { config: { checks }, ...changed })
  const status = (one: MachineSeen) => (runner.json(one)[0] as { status?: string })?.status
  return {
    runner,
    changes,
    lines,
    machine,
    status,
    [Symbol.dispose]: () => runner[Symbol.dispose](),
  }
}

test('a started machine is probed, its owner is told of changes, and a stopped one warns', async () => {
  let isUp = true
  using server = await serving((_request, response) => {
    response.writeHead(isUp ? 200 : 500).end('so it is')
  })
  const view = new TestView()
  using all = run(view, server.port)
  const { runner, machine, status } = all
  view.put(machine())
  assert.equal(status(machine()), 'critical')
  await pollUntil('passing', () => status(machine()) === 'passing', DEADLINE)
  assert.match(all.lines.at(-1) ?? '', /^Health check 'alive' on port \d+ is now passing/)
  isUp = false
  await pollUntil('critical', () => status(machine()) === 'critical', DEADLINE)
  assert.match(all.lines.at(-1) ?? '', /has failed: HTTP 500: so it is/)
  const row = runner.rows(machine())?.[0]
  assert.deepEqual(row?.key, ['m1', 'alive'])
  const stopped = machine({ state: 'stopped' })
  view.put(stopped)
  assert.equal(status(stopped), 'warning')
  assert.deepEqual(runner.rows(machine({ state: 'destroyed' })), [])
  assert.equal(runner.checkCount, 0)
})

test('what does not change is not told again', async () => {
  let probes = 0
  using server = await serving((_request, response) => {
    probes += 1
    response.end(String(probes))
  })
  const view = new TestView()
  using all = run(view, server.port)
  view.put(all.machine())
  await pollUntil('three probes', () => probes >= 3, DEADLINE)
  view.put(all.machine({ updatedAtMs: 2_000 }))
  assert.deepEqual(all.changes, ['m1', 'm1'], 'the start of the run, and its first result')
})

test('of a machine that ran before this process, the rows stay as they are until there is a result', async () => {
  using server = await serving((_request, response) => response.end())
  const view = new TestView()
  const checks = { alive: { type: 'http', port: server.port, grace_period: '1h' } }
  const machine = machineSeen('m1', { config: { checks } })
  view.put(machine)
  using all = run(view, server.port)
  assert.equal(all.runner.rows(machine), undefined)
  assert.equal(all.status(machine), 'warning')
  await pollUntil('a result', () => all.status(machine) === 'passing', DEADLINE)
  assert.equal(all.runner.rows(machine)?.length, 1)
})
