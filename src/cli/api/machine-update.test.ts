import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { MACHINE, machinesOf, runAgainst } from './api-server.fixture.ts'
import { changedConfig } from './changed-config.ts'
import { differences, differenceText } from './config-difference.ts'
import { machineCommand } from './index.ts'
import type { MachineSettings } from './machine-settings.ts'

const NOTHING: MachineSettings = {
  ...{ env: {}, metadata: {}, port: [], kernelArg: [] },
  ...{ fileLocal: [], fileLiteral: [], fileSecret: [] },
}
const id = MACHINE.id
const LEASED = {
  [`GET ${machinesOf(`/${id}/wait`)}`]: { ok: true },
  [`POST ${machinesOf(`/${id}/lease`)}`]: { data: { nonce: 'abc' } },
  [`DELETE ${machinesOf(`/${id}/lease`)}`]: {},
  [`GET ${machinesOf(`/${id}`)}`]: MACHINE,
  [`POST ${machinesOf(`/${id}`)}`]: MACHINE,
}
const service = (internal: number, port: number) => ({
  ...{ protocol: 'tcp', internal_port: internal, checks: [{ type: 'tcp' }] },
  ports: [{ port, handlers: ['http'] }],
})

test('what no option names stays, and what is named changes', async () => {
  const before = {
    image: 'nginx:1.27',
    env: { A: '1', B: '2' },
    metadata: { team: 'birds', old: 'x' },
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512, kernel_args: ['quiet'] },
    files: [{ guest_path: '/a', raw_value: 'eA==' }],
    restart: { policy: 'always', max_retries: 3 },
    schedule: 'daily',
    stop_config: { signal: 'SIGQUIT' },
  }
  assert.deepEqual(differences(before, await changedConfig(before, NOTHING)), [])
  const after = await changedConfig(before, {
    ...NOTHING,
    env: { B: '3' },
    metadata: { old: '', new: 'y' },
    vmCpus: '4',
    restart: 'on-failure',
    schedule: 'none',
    command: "sh -c 'exec web'",
    fileLiteral: ['/a=z'],
    fileSecret: ['/b=KEY'],
    machineConfig: '{"stop_config": null, "auto_destroy": true}',
  })
  assert.deepEqual(after, {
    image: 'nginx:1.27',
    env: { A: '1', B: '3' },
    metadata: { team: 'birds', new: 'y' },
    // 512 MB do not go with four CPUs: the least that does.
    guest: { cpu_kind: 'shared', cpus: 4, memory_mb: 1024, kernel_args: ['quiet'] },
    files: [
      { guest_path: '/a', raw_value: 'eg==' },
      { guest_path: '/b', secret_name: 'KEY' },
    ],
    restart: { policy: 'on-failure', max_retries: 3 },
    init: { cmd: ['sh', '-c', 'exec web'] },
    auto_destroy: true,
  })
})

test('ports go to the service that leads to the same port of the machine, and keep its checks', async () => {
  const before = { services: [service(80, 80), service(9000, 9000)] }
  const after = await changedConfig(before, {
    ...NOTHING,
    port: ['443:80/tcp:tls:http', '80:80/tcp:http', '9000:7000'],
    autostop: 'suspend',
  })
  assert.deepEqual(after.services, [
    {
      ...{ protocol: 'tcp', internal_port: 80, checks: [{ type: 'tcp' }], autostop: 'suspend' },
      ports: [
        { port: 443, handlers: ['tls', 'http'] },
        { port: 80, handlers: ['http'] },
      ],
    },
    {
      ...{ protocol: 'tcp', internal_port: 7000, autostart: true, autostop: 'suspend' },
      ports: [{ port: 9000 }],
    },
  ])
  const none = await changedConfig(before, { ...NOTHING, port: ['-'] })
  assert.equal(none.services, undefined)
  await assert.rejects(changedConfig({}, { ...NOTHING, autostop: true }), {
    code: 'cli.bad_value',
    message: /--port 443/,
  })
})

test('settings that cannot be are refused with what to write', async () => {
  const bad = (settings: Partial<MachineSettings>, message: RegExp) =>
    assert.rejects(changedConfig({}, { ...NOTHING, ...settings }), {
      code: 'cli.bad_value',
      message,
    })
  await bad({ command: "sh -c 'x" }, /quote/)
  await bad({ vmSize: 'huge' }, /vm-sizes/)
  await bad({ vmMemory: '1tb' }, /vm-memory/)
  await bad({ fileLocal: ['app.conf'] }, /app\.conf=\.\/app\.conf|\/etc/)
  await bad({ machineConfig: '{"a":' }, /JSON/)
  await bad({ machineConfig: 'no/such/file' }, /neither/)
})

test('differences are told by their path, each with both sides', () => {
  const before = { env: { A: '1', C: 'x' }, services: [{ internal_port: 80 }], mounts: [] }
  const after = {
    env: { A: '2', B: '3' },
    services: [{ internal_port: 8080 }],
    init: { cmd: ['x'] },
  }
  assert.equal(
    differenceText(differences(before, after)),
    [
      '~ env.A                      "1" -> "2"',
      '+ env.B                      "3"',
      '- env.C                      "x"',
      '~ services[0].internal_port  80 -> 8080',
      '+ init.cmd                   ["x"]',
      '',
    ].join('\n'),
  )
})

test('machine update changes one machine under its lease, and waits until it runs', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-update-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'more.json'), '{"stop_config": {"signal": "SIGTERM"}}')
  const args = ['update', id, '-a', 'web', '-e', 'A=1', '--image', 'nginx:1.28', '--yes']
  const config = ['--machine-config', join(folder, 'more.json')]
  const { printed, asked } = await runAgainst(t, machineCommand, [...args, ...config], LEASED)
  assert.equal(printed, `${id} is changed, and started\n`)
  const calls = asked.map((call) => call.replace(machinesOf(`/${id}`), ''))
  assert.deepEqual(
    calls.map((call) => call.replace(/&timeout=\d+/, '').replace(/ \{.*/, '')),
    [
      'GET ',
      'POST /lease?ttl=13',
      'POST ',
      'GET /wait?state=started&state=stopped&state=failed&version=01',
      'GET ',
      'GET ',
      'DELETE /lease',
    ],
  )
  const body = JSON.parse(calls[2]?.slice('POST '.length) ?? '')
  assert.equal(body.current_version, '01')
  assert.equal(body.skip_launch, false)
  assert.deepEqual(body.config, {
    ...MACHINE.config,
    ...{ image: 'nginx:1.28', env: { A: '1' }, init: {}, stop_config: { signal: 'SIGTERM' } },
  })
})

test('an update that changes nothing does nothing, and one that nobody confirms neither', async (t) => {
  const same = await runAgainst(t, machineCommand, ['update', id, '-a', 'web'], LEASED)
  assert.match(same.printed, /nothing was changed/)
  assert.equal(same.asked.length, 1)
  if (process.stdin.isTTY) return
  await assert.rejects(
    runAgainst(t, machineCommand, ['update', id, '-a', 'web', '-e', 'A=1'], LEASED),
    { code: 'cli.failed', message: /--yes/ },
  )
})

test('without an id the only machine is meant; of several they are named', async (t) => {
  const one = await runAgainst(t, machineCommand, ['status', '-a', 'web'], {
    [`GET ${machinesOf(`/${id}`)}`]: MACHINE,
    [`GET ${machinesOf()}`]: [MACHINE],
  })
  assert.match(one.printed, new RegExp(id))
  if (process.stdin.isTTY) return
  const two = { [`GET ${machinesOf()}`]: [MACHINE, { ...MACHINE, id: 'other', region: 'nrt' }] }
  await assert.rejects(runAgainst(t, machineCommand, ['stop', '-a', 'web'], two), {
    code: 'cli.failed',
    message: /other \(nrt\)/,
  })
})

const CLONED = { ...MACHINE, id: '3d8d413b29d089', name: 'web-2' }
const SOURCE = {
  ...MACHINE,
  image_ref: { registry: 'r', repository: 'app', tag: '1', digest: 'sha256:aa' },
  config: { ...MACHINE.config, image: 'r/app:1', init: { cmd: ['serve'] } },
}
const MOUNTED = {
  ...SOURCE,
  config: { ...SOURCE.config, mounts: [{ volume: 'vol_1', path: '/data' }] },
}
const VOLUME = { id: 'vol_1', name: 'data', size_gb: 3, region: 'ams' }

const cloneAnswers = (source: object) => ({
  [`GET ${machinesOf(`/${id}`)}`]: source,
  [`GET ${machinesOf(`/${CLONED.id}`)}`]: CLONED,
  [`POST ${machinesOf()}`]: CLONED,
  'GET /v1/apps/web/volumes/vol_1/snapshots': [
    { id: 'vs_1', status: 'created', created_at: '2026-01-01T00:00:00Z' },
    { id: 'vs_2', status: 'created', created_at: '2026-01-02T00:00:00Z' },
    { id: 'vs_3', status: 'failed', created_at: '2026-01-03T00:00:00Z' },
  ],
  'GET /v1/apps/web/volumes': [VOLUME],
  'POST /v1/apps/web/volumes': { ...VOLUME, id: 'vol_2', region: 'nrt' },
  'DELETE /v1/apps/web/volumes/vol_2': {},
})

const bodyOf = (calls: readonly string[], call: string) => {
  const found = calls.find((one) => one.startsWith(`${call} {`)) ?? ''
  return JSON.parse(found.slice(call.length))
}

test('machine clone takes the image by its digest, and what its options say', async (t) => {
  const args = ['clone', id, '-a', 'web', '-r', 'nrt', '--standby-for', 'source', '--clear-cmd']
  const { printed, asked } = await runAgainst(t, machineCommand, args, cloneAnswers(SOURCE))
  const body = bodyOf(asked, `POST ${machinesOf()}`)
  assert.equal(body.region, 'nrt')
  assert.equal(body.skip_launch, true)
  assert.equal(body.config.image, 'r/app:1@sha256:aa')
  assert.deepEqual(body.config.standbys, [id])
  assert.deepEqual(body.config.init, {})
  assert.match(printed, /web-2/)
})

test('a clone gets a volume of its own, filled from the newest snapshot when that is asked for', async (t) => {
  const args = ['clone', id, '-a', 'web', '-r', 'nrt', '--from-snapshot', 'last', '--detach']
  const { asked } = await runAgainst(t, machineCommand, args, cloneAnswers(MOUNTED))
  const volume = bodyOf(asked, 'POST /v1/apps/web/volumes')
  assert.equal(volume.snapshot_id, 'vs_2')
  assert.equal(volume.size_gb, 3)
  const machine = bodyOf(asked, `POST ${machinesOf()}`)
  assert.deepEqual(machine.config.mounts, [{ path: '/data', volume: 'vol_2' }])
})

test('a volume that was made for a clone goes when there is no clone', async (t) => {
  const { [`POST ${machinesOf()}`]: _, ...answers } = cloneAnswers(MOUNTED)
  const asked: string[] = []
  const args = ['clone', id, '-a', 'web', '--detach']
  await assert.rejects(runAgainst(t, machineCommand, args, answers, asked), {
    code: 'api.not_found',
  })
  assert.equal(asked.at(-1), 'DELETE /v1/apps/web/volumes/vol_2')
})
