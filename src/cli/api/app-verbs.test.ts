import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { Command } from 'commander'
import { configCommand } from '../config.ts'
import { MACHINE, machinesOf, runAgainst } from './api-server.fixture.ts'
import {
  appsCommand,
  authCommand,
  ipsCommand,
  openCommand,
  servicesCommand,
  volumesCommand,
} from './index.ts'

const id = MACHINE.id
/** For commands without verbs of their own: the fixture puts options behind the first word. */
const under =
  (make: (print: (text: string) => void) => Command) => (print: (text: string) => void) =>
    new Command().addCommand(make(print))

test('apps restart restarts each machine that runs, under its lease, and waits for it', async (t) => {
  const stopped = { ...MACHINE, id: 'resting', state: 'stopped' }
  const { printed, asked } = await runAgainst(t, appsCommand, ['restart', 'web', '--force-stop'], {
    [`GET ${machinesOf(`/${id}/wait`)}`]: { ok: true },
    [`POST ${machinesOf(`/${id}/lease`)}`]: { data: { nonce: 'abc' } },
    [`DELETE ${machinesOf(`/${id}/lease`)}`]: {},
    [`POST ${machinesOf(`/${id}/restart?force_stop=true`)}`]: { ok: true },
    [`GET ${machinesOf(`/${id}`)}`]: MACHINE,
    [`GET ${machinesOf()}`]: [MACHINE, stopped],
  })
  assert.equal(printed, '1 of web restarted\n')
  assert(!asked.some((call) => call.includes('resting')))
  assert.equal(asked.at(-1), `DELETE ${machinesOf(`/${id}/lease`)}`)
})

test('services that are alike are one line', async (t) => {
  const service = {
    ...{ protocol: 'tcp', internal_port: 8080 },
    ports: [
      { port: 80, handlers: ['http'] },
      { port: 443, handlers: ['tls', 'http'] },
    ],
  }
  const machine = (region: string) => ({
    ...MACHINE,
    region,
    config: { ...MACHINE.config, services: [service] },
  })
  const { printed } = await runAgainst(t, servicesCommand, ['list', '-a', 'web'], {
    [`GET ${machinesOf()}`]: [machine('nrt'), machine('ams')],
  })
  assert.match(printed, /tcp +80 443 +http tls\+http +8080 +app +2 +ams nrt\n/)
})

test('open names the host name that leads here, else the address, else what to do', async (t) => {
  const opened: string[] = []
  const make = under((print) => openCommand(print, (url) => opened.push(url)))
  const certificates = (...all: object[]) => ({
    'GET /v1/apps/web/certificates': { certificates: all },
  })
  const named = { hostname: 'www.example.com', status: 'active', configured: true }
  const pending = { hostname: 'new.example.com', status: 'pending_validation', configured: false }
  const byName = await runAgainst(
    t,
    make,
    ['open', '/login', '-a', 'web'],
    certificates(pending, named),
  )
  assert.equal(byName.printed, 'https://www.example.com/login\n')
  const ips = (...all: object[]) => ({ 'GET /v1/apps/web/ip_assignments': { ips: all } })
  const byAddress = await runAgainst(t, make, ['open', '-a', 'web'], {
    ...certificates(),
    ...ips({ ip: 'fdaa::3' }, { ip: '203.0.113.1', shared: true }, { ip: '2001:db8::1' }),
  })
  assert.equal(byAddress.printed, 'http://[2001:db8::1]/\n')
  await assert.rejects(
    runAgainst(t, make, ['open', '-a', 'web'], { ...certificates(), ...ips() }),
    { code: 'cli.failed', message: /ips allocate-v6/ },
  )
  if (!process.stdout.isTTY) assert.deepEqual(opened, [])
})

test('ips: private ones are those of machines; allocate gives what is not there yet', async (t) => {
  const own = await runAgainst(t, ipsCommand, ['private', '-a', 'web'], {
    [`GET ${machinesOf()}`]: [MACHINE],
  })
  assert.match(own.printed, /148ed599c14189 +ams +fdaa::1/)
  const path = '/v1/apps/web/ip_assignments'
  const both = await runAgainst(t, ipsCommand, ['allocate', '-a', 'web'], {
    [`GET ${path}`]: { ips: [{ ip: '2001:db8::1' }, { ip: 'fdaa::9' }] },
    [`POST ${path}`]: { ip: '203.0.113.1' },
  })
  assert.deepEqual(both.asked.slice(1), [`POST ${path} {"type":"shared_v4"}`])
  const flycast = ['allocate-v6', '--private', '--network', 'blue', '-o', 'birds', '-a', 'web']
  const given = await runAgainst(t, ipsCommand, flycast, { [`POST ${path}`]: { ip: 'fdaa::9' } })
  assert.deepEqual(given.asked, [
    `POST ${path} {"type":"private_v6","network":"blue","org_slug":"birds"}`,
  ])
})

test('volumes: one is shown, changed, forked, and has snapshots', async (t) => {
  const path = '/v1/apps/web/volumes'
  const volume = {
    ...{ id: 'vol_1', name: 'data', state: 'created', size_gb: 3, region: 'ams', zone: 'z' },
    ...{ encrypted: true, attached_machine_id: null, host_status: 'ok', snapshot_retention: 5 },
    ...{ auto_backup_enabled: true, created_at: '2026-01-01T00:00:00Z' },
  }
  const answers = {
    [`GET ${path}/vol_1/snapshots`]: [
      { id: 'vs_1', status: 'created', size: 5e6, retention_days: 5, created_at: 'x' },
    ],
    [`POST ${path}/vol_1/snapshots`]: {},
    [`GET ${path}/vol_1`]: volume,
    [`PUT ${path}/vol_1`]: { ...volume, auto_backup_enabled: false },
    [`POST ${path}`]: { ...volume, id: 'vol_2' },
  }
  const run = (...words: string[]) =>
    runAgainst(t, volumesCommand, [...words, '-a', 'web'], answers)
  assert.match((await run('show', 'vol_1')).printed, /Snapshots +every day, kept 5 days/)
  const off = await run('update', 'vol_1', '--scheduled-snapshots=false')
  assert.deepEqual(off.asked, [`PUT ${path}/vol_1 {"auto_backup_enabled":false}`])
  assert.match(off.printed, /only when asked/)
  await assert.rejects(run('update', 'vol_1'), { code: 'cli.bad_value', message: /extend/ })
  const forked = await run('fork', 'vol_1')
  assert.match(forked.asked[1] ?? '', /"source_volume_id":"vol_1"/)
})

test('auth says what the token is for, and which it is', async (t) => {
  const anywhere = { restricted_to_machine: '', source_machine_id: '' }
  const tokens = [{ token_id: 'tok', org_slug: 'birds', apps: ['*'], ...anywhere }]
  const who = await runAgainst(t, authCommand, ['whoami'], {
    'GET /v1/tokens/current': { tokens },
  })
  assert.match(who.printed, /tok +birds +all/)
  assert.equal((await runAgainst(t, authCommand, ['token'])).printed, 'x\n')
})

test('config show and save take the configuration of the release that runs', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-config-save-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const answers = {
    'GET /v1/apps/web/releases/current': {
      ...{ version: 3, definition: { app: 'web', primary_region: 'ams' } },
    },
  }
  const shown = await runAgainst(t, configCommand, ['show', '-a', 'web'], answers)
  assert.equal(JSON.parse(shown.printed).primary_region, 'ams')
  const save = ['save', '-a', 'web', '-c', folder]
  const saved = await runAgainst(t, configCommand, save, answers)
  assert.match(saved.printed, /v3 of web/)
  assert.match(readFileSync(join(folder, 'fly.toml'), 'utf8'), /primary_region = "ams"/)
  await assert.rejects(runAgainst(t, configCommand, save, answers), {
    code: 'cli.failed',
    message: /--yes/,
  })
  await runAgainst(t, configCommand, [...save, '--yes'], answers)
})
