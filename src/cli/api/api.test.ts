import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { deployable, readAppConfig } from '#app-config'
import { processIo } from '../token-input.ts'
import { tokensCommand } from '../tokens.ts'
import { MACHINE, machinesOf as of, runAgainst as run } from './api-server.fixture.ts'
import {
  appsCommand,
  certsCommand,
  launchCommand,
  machineCommand,
  platformCommand,
  scaleCommand,
  volumesCommand,
} from './index.ts'
import { ago, checksText } from './machine-table.ts'
import { parsePort } from './port-argument.ts'
import { countsOf } from './scale.ts'
import { parseLines } from './secrets.ts'

test('machine list prints a line each, or the answer itself as JSON', async (t) => {
  const answers = { [`GET ${of()}`]: [MACHINE] }
  const { printed } = await run(t, machineCommand, ['list', '-a', 'web'], answers)
  assert.match(
    printed,
    /148ed599c14189 {2}web-1 {2}started {2}1\/1 +ams +app +shared 1x 256MB {2}library\/nginx:1\.27/,
  )
  const json = await run(t, machineCommand, ['list', '-a', 'web', '--json'], answers)
  assert.deepEqual(JSON.parse(json.printed), [MACHINE])
})

test('an action takes the lease of the machine, acts with its nonce, and gives it back', async (t) => {
  const id = MACHINE.id
  const { printed, asked } = await run(
    t,
    machineCommand,
    ['stop', id, '-a', 'web', '-s', 'SIGTERM', '--time', '9'],
    {
      [`GET ${of(`/${id}/wait`)}`]: { ok: true },
      [`GET ${of(`/${id}`)}`]: MACHINE,
      [`POST ${of(`/${id}/lease`)}`]: { data: { nonce: 'abc' } },
      [`DELETE ${of(`/${id}/lease`)}`]: {},
      [`POST ${of(`/${id}/stop`)}`]: { ok: true },
    },
  )
  assert.equal(printed, `${id} stopped\n`)
  assert.deepEqual(
    asked.map((call) => call.replace(of(`/${id}`), '').replace(/&timeout=\d+/, '')),
    [
      'GET ',
      'POST /lease?ttl=120',
      'POST /stop {"signal":"SIGTERM","timeout":9}',
      'GET /wait?state=stopped',
      'DELETE /lease',
    ],
  )
})

test('a machine that runs is not destroyed without --force, and its lease is given back', async (t) => {
  const id = MACHINE.id
  const answers = {
    [`GET ${of(`/${id}`)}`]: MACHINE,
    [`POST ${of(`/${id}/lease`)}`]: { data: { nonce: 'abc' } },
    [`DELETE ${of(`/${id}`)}`]: { ok: true },
  }
  await assert.rejects(run(t, machineCommand, ['destroy', id, '-a', 'web'], answers), {
    code: 'cli.bad_value',
    message: /give --force/,
  })
  const { printed } = await run(t, machineCommand, ['destroy', id, '-a', 'web', '--force'], answers)
  assert.equal(printed, `${id} destroyed\n`)
})

test('machine run makes what its options say', async (t) => {
  const { asked } = await run(
    t,
    machineCommand,
    [
      'run',
      'nginx',
      '-a',
      'web',
      '-p',
      '443:80/tcp:tls:http',
      '-e',
      'A=b=c',
      '--vm-memory',
      '512mb',
      '--no-wait',
      '--',
      'serve',
      '--all',
    ],
    { [`POST ${of()}`]: MACHINE, [`GET ${of()}`]: MACHINE },
  )
  const body = JSON.parse(asked[0]?.slice(asked[0].indexOf('{')) ?? '')
  assert.deepEqual(body.config.init, { cmd: ['serve', '--all'] })
  assert.deepEqual(body.config.env, { A: 'b=c' })
  assert.equal(body.config.guest.memory_mb, 512)
  assert.deepEqual(body.config.services, [
    {
      protocol: 'tcp',
      internal_port: 80,
      ports: [{ port: 443, handlers: ['tls', 'http'] }],
      autostart: true,
    },
  ])
})

test('what cannot be undone is refused where nobody can be asked', async (t) => {
  const answers = { 'DELETE /v1/apps/web/volumes/vol_1': {} }
  if (!process.stdin.isTTY) {
    await assert.rejects(run(t, volumesCommand, ['destroy', 'vol_1', '-a', 'web'], answers), {
      code: 'cli.failed',
      message: /--yes/,
    })
  }
  const { printed } = await run(
    t,
    volumesCommand,
    ['destroy', 'vol_1', '-a', 'web', '--yes'],
    answers,
  )
  assert.equal(printed, 'vol_1 is destroyed\n')
})

test('vm-sizes asks no server', async () => {
  let printed = ''
  const command = platformCommand((text) => {
    printed += text
  })
  await command.parseAsync(['vm-sizes', '--json'], { from: 'user' })
  assert.equal(JSON.parse(printed)[0].name, 'shared-cpu-1x')
})

test('a port may be a range, whose end is its end', () => {
  const autostart = true
  assert.deepEqual(parsePort('8080-8085:80'), {
    ...{ protocol: 'tcp', internal_port: 80, autostart },
    ports: [{ start_port: 8080, end_port: 8085 }],
  })
  assert.deepEqual(parsePort('53/udp'), {
    ...{ protocol: 'udp', internal_port: 53, autostart },
    ports: [{ port: 53 }],
  })
  for (const bad of ['', '0', '70000', '80/icmp', 'http', '80:']) {
    assert.throws(() => parsePort(bad), { code: 'cli.bad_value' })
  }
})

test('lines of an .env file: comments, export, quotes; a bad one is not shown', () => {
  assert.deepEqual(parseLines('# x\nA=1\nexport B="two words"\n\nC=\'a=b\'\nD='), {
    ...{ A: '1', B: 'two words', C: 'a=b', D: '' },
  })
  assert.throws(
    () => parseLines('hunter2hunter2'),
    (error: Error) => !error.message.includes('hunter2hunter2'),
  )
})

test('times and checks in few letters', () => {
  const nowMs = Date.parse('2026-01-02T00:00:00Z')
  assert.equal(ago('2026-01-01T00:00:00Z', nowMs), '1d ago')
  assert.equal(ago('2026-01-01T23:59:30Z', nowMs), '30s ago')
  assert.equal(checksText([]), '')
})

test('apps are listed, made and destroyed through the API; without a terminal only with --yes', async (t) => {
  const app = { id: 'app_1', name: 'web', status: 'deployed', machine_count: 2, network: '' }
  const answers = { 'GET /v1/apps?org_slug=birds': { apps: [app] }, 'POST /v1/apps': app }
  const listed = await run(t, appsCommand, ['list', '--org', 'birds'], answers)
  assert.match(listed.printed, /web +deployed +2 /)
  const made = await run(t, appsCommand, ['create', 'web', '--org', 'birds'], answers)
  const only = {
    'GET /v1/tokens/current': { tokens: [{ org_slug: 'fish' }] },
    'GET /v1/apps?org_slug=fish': { apps: [app] },
  }
  const unnamed = await run(t, appsCommand, ['list'], only)
  assert.match(unnamed.asked.at(-1) ?? '', /org_slug=fish/)
  const two = { 'GET /v1/tokens/current': { tokens: [{ org_slug: 'a' }, { org_slug: 'b' }] } }
  await assert.rejects(run(t, appsCommand, ['list'], two), { code: 'cli.no_organization' })
  assert.deepEqual(made.asked, ['POST /v1/apps {"name":"web","org_slug":"birds"}'])
  const destroying = { 'DELETE /v1/apps/web?force=true': {} }
  const gone = await run(t, appsCommand, ['destroy', 'web', '--yes'], destroying)
  assert.equal(gone.printed, 'web is destroyed\n')
  if (!process.stdin.isTTY) {
    await assert.rejects(run(t, appsCommand, ['destroy', 'web'], destroying), {
      code: 'cli.failed',
    })
  }
})

test('tokens are made, listed and ended through the API, for the organisation of the caller', async (t) => {
  const make = (print: (text: string) => void) => tokensCommand({ ...processIo, print })
  const times = { created_at: '2026-01-01T00:00:00Z', expires_at: null, revoked_at: null }
  const one = { id: 'f00d', name: 'ci', profile: 'deploy', app_name: 'web', created_by: 'me' }
  const answers = {
    'GET /v1/tokens/current': { tokens: [{ org_slug: 'birds' }] },
    'GET /v1/apps/web': { organization: { slug: 'birds' } },
    'GET /v1/orgs/birds/tokens': { tokens: [{ ...one, ...times }] },
    'POST /v1/orgs/birds/tokens': { ...one, ...times, token: 'FlyV1 fm2_x' },
    'DELETE /v1/orgs/birds/tokens/f00d': {},
  }
  const asked = async (...args: string[]) => await run(t, make, args, answers)
  const made = await asked('create', 'deploy', '--app', 'web', '--expiry', '1h')
  assert.equal(made.printed, 'FlyV1 fm2_x\n')
  assert.match(made.asked[1] ?? '', /"app_name":"web".*"expiry":"3600s"/)
  assert.match((await asked('list')).printed, /f00d +"ci" +deploy +web +me +- +-/)
  assert.equal((await asked('revoke', 'f00d')).printed, 'revoked f00d\n')
})

test('scale shows each process group, and reads counts for one or several', async (t) => {
  const answers = { [`GET ${of()}`]: [MACHINE, { ...MACHINE, id: '2', region: 'iad' }] }
  const { printed } = await run(t, scaleCommand, ['show', '-a', 'web'], answers)
  assert.match(printed, /app +2 +shared 1x 256MB +ams iad/)
  assert.deepEqual([...countsOf(['3'], 'app')], [['app', 3]])
  assert.deepEqual(
    [...countsOf(['web=2', 'worker=0'], 'app')],
    [
      ['web', 2],
      ['worker', 0],
    ],
  )
  for (const bad of [['x'], ['-1'], ['web=2', 'web=3'], ['web=']]) {
    assert.throws(() => countsOf(bad, 'app'), { code: 'cli.bad_value' })
  }
})

test('launch writes a configuration that can be deployed, makes the app, and writes over nothing', async (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'godwit-launch-'))
  t.after(() => rmSync(parent, { recursive: true }))
  const folder = join(parent, 'My Shop')
  mkdirSync(folder)
  const answers = {
    'GET /v1/platform/regions': { nearest: 'nrt', regions: [] },
    'POST /v1/apps': { id: 'a', name: 'my-shop' },
  }
  const args = ['--image', 'nginx:1.27', '--org', 'acme', '--path', folder, '--no-deploy']
  // The command has no verb: its first argument stands where one would.
  const { asked, printed } = await run(t, launchCommand, ['--internal-port=80', ...args], answers)
  assert.deepEqual(asked.at(-1), 'POST /v1/apps {"name":"my-shop","org_slug":"acme"}')
  assert.match(printed, /next: godwit deploy/)
  const read = readAppConfig(join(folder, 'fly.toml'))
  assert.deepEqual(read.problems, [])
  const { app, primary_region: region, build, http_service: service } = deployable(read)
  assert.deepEqual([app, region, build?.image], ['my-shop', 'nrt', 'nginx:1.27'])
  assert.equal(service?.internal_port, 80)
  await assert.rejects(run(t, launchCommand, ['--internal-port=80', ...args], answers), {
    code: 'cli.failed',
  })
})

test('certs says what DNS must say until it does, and what there is then', async (t) => {
  const pending = {
    hostname: 'www.example.com',
    status: 'pending_validation',
    configured: false,
    certificates: [],
    dns_requirements: { a: ['203.0.113.1'], aaaa: ['2001:db8::1'] },
    dns_records: { resolved_addresses: ['192.0.2.9'] },
    created_at: '2026-01-01T00:00:00Z',
  }
  const path = '/v1/apps/web/certificates'
  const added = await run(t, certsCommand, ['add', 'www.example.com', '-a', 'web'], {
    [`POST ${path}/acme`]: pending,
  })
  assert.match(added.printed, /does not lead here\n[\s\S]*DNS says 192\.0\.2\.9 now/)
  assert.match(added.printed, /www\.example\.com\. {2}A {5}203\.0\.113\.1/)
  const issued = { source: 'fly', issuer: "Let's Encrypt", expires_at: '2026-04-01T00:00:00Z' }
  const active = { ...pending, status: 'active', configured: true, certificates: [issued] }
  const checked = await run(t, certsCommand, ['check', 'www.example.com', '-a', 'web'], {
    [`POST ${path}/www.example.com/check`]: active,
  })
  assert.match(checked.printed, /Let's Encrypt, until 2026-04-01/)
  assert.doesNotMatch(checked.printed, /next/)
  const folder = mkdtempSync(join(tmpdir(), 'godwit-certs-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const name of ['chain', 'key']) writeFileSync(join(folder, name), `the ${name}\n`)
  const files = ['--fullchain', join(folder, 'chain'), '--private-key', join(folder, 'key')]
  const warned = [{ message: 'it ends soon', remediation: 'import its successor' }]
  const own = { ...active, certificates: [{ ...issued, source: 'custom' }] }
  const imported = await run(
    t,
    certsCommand,
    ['import', 'www.example.com', ...files, '-a', 'web'],
    {
      [`POST ${path}/custom`]: { ...own, validation_errors: warned },
    },
  )
  const sent = { hostname: 'www.example.com', fullchain: 'the chain\n', private_key: 'the key\n' }
  assert.deepEqual(imported.asked, [`POST ${path}/custom ${JSON.stringify(sent)}`])
  assert.match(imported.printed, /Own certificate +Let's Encrypt/)
  assert.match(imported.printed, /Warning +it ends soon: import its successor/)
  const only = ['remove', 'www.example.com', '--only', 'custom', '--yes', '-a', 'web']
  const kept = await run(t, certsCommand, only, {
    [`DELETE ${path}/www.example.com/custom`]: { ...active, warning: 'none any more' },
  })
  assert.match(kept.printed, /Warning +none any more/)
  const lost = ['import', 'a.b', '--fullchain', 'nowhere', '--private-key', 'nowhere', '-a', 'web']
  await assert.rejects(run(t, certsCommand, lost, {}), { code: 'cli.file_unreadable' })
  const listed = await run(t, certsCommand, ['list', '-a', 'web'], {
    [`GET ${path}?limit=500`]: { certificates: [pending] },
  })
  assert.match(listed.printed, /www\.example\.com +pending validation/)
})
