import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { promisify } from 'node:util'
import { seededRandom, systemClock } from '#base'
import { ProxyRouter, ROUTING_LIMITS, RoutingCore, RoutingTable, serveAdmin } from '#proxy'

const run = promisify(execFile)
const godwit = (...args: string[]) => run('bin/godwit', args)

/** A proxy that decides for app `shop` with a machine in each of two regions. */
async function startProxy(path: string) {
  const table = new RoutingTable({ ownHostId: 'h1', appDomain: 'apps.test' })
  for (const [at, region] of ['ams', 'nrt'].entries()) {
    const host = `h${at + 1}`
    table.put('hosts', { id: host, region, state: 'ready' }, 0)
    const row = { id: `m${at + 1}`, host_id: host, app_id: 'a', region, state: 'started' }
    table.put('machines', row, 0)
    const service = { machine_id: row.id, protocol: 'tcp', internal_port: 80, app_id: 'a' }
    table.put('services', { ...service, ports: '[{"port":443}]', autostart: 1 }, 0)
  }
  table.put('apps', { id: 'a', name: 'shop' }, 0)
  const waker = { start: () => undefined, stop: () => undefined }
  const core = new RoutingCore({
    ...{ table, waker, clock: systemClock, random: seededRandom(1), limits: ROUTING_LIMITS },
  })
  return serveAdmin(new ProxyRouter({ core }), path)
}

test('explain names the machine and the reason, top the apps; both as JSON, too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-proxy-'))
  const admin = join(folder, 'admin.sock')
  const proxy = await startProxy(admin)
  try {
    const { stdout } = await godwit('proxy', 'explain', 'shop', '--admin', admin)
    assert.match(stdout, /^m1: in the nearest region/)
    assert.match(stdout, /m2 +nrt .* below_soft/)
    const header = ['-H', 'fly-prefer-region: nrt']
    const json = await godwit(
      'proxy',
      'explain',
      'shop',
      '/',
      ...header,
      '--json',
      '--admin',
      admin,
    )
    assert.equal(JSON.parse(json.stdout).decision.chosen, 'm2')
    await assert.rejects(godwit('proxy', 'explain', 'nobody.test', '--admin', admin), { code: 1 })
    const top = await godwit('proxy', 'top', '--admin', admin)
    assert.match(top.stdout, /APP +IN FLIGHT .*\nshop +0 +0\/40 +2/)
    const view = await godwit('proxy', 'top', '--json', '--admin', admin)
    assert.equal(JSON.parse(view.stdout).apps[0].running, 2)
  } finally {
    await proxy.close()
    rmSync(folder, { recursive: true })
  }
})

test('no proxy on the socket: the error says what to do', async () => {
  await assert.rejects(godwit('proxy', 'top', '--admin', '/nonexistent.sock'), (error) => {
    const { stderr } = error as unknown as { stderr: string }
    return /no proxy answers.*--admin/s.test(stderr)
  })
})

test('ca prints the same certificate each time, and never the key', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-ca-'))
  try {
    const first = await godwit('ca', '--folder', folder)
    assert.match(first.stdout, /^-----BEGIN CERTIFICATE-----/)
    assert.ok(!first.stdout.includes('PRIVATE'))
    assert.equal((await godwit('ca', '--folder', folder)).stdout, first.stdout)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
