import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { loadHostConfig } from '#host'
import { hostCommand } from './host.ts'
import { installCommand } from './install.ts'

const host = (name: string, region: string, address: string, roles: string) => `
[[hosts]]
host = "${name}"
address = "${address}"
roles = [${roles}]
names = ["api.example.com"]
settings = { worker = { pool_gb = 500 } }
[hosts.region]
code = "${region}"
`
const FIRST = host('ams-1', 'ams', '192.0.2.1', '"worker", "gateway", "nats"')
const SECOND = host('nrt-1', 'nrt', '192.0.2.2', '"worker"')

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-install-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

async function found(folder: string, plan: string): Promise<string> {
  let printed = ''
  writeFileSync(join(folder, 'cluster.toml'), plan)
  const command = hostCommand((text) => {
    printed += text
  })
  const args = ['found', join(folder, 'cluster.toml'), '--out', join(folder, 'cluster')]
  await command.parseAsync(args, { from: 'user' })
  return printed
}

test('two bare servers get a folder each, and a third one later what the two know of it', async (t) => {
  const folder = folderOf(t)
  const at = (...words: string[]) => join(folder, 'cluster', ...words)
  assert.match(await found(folder, FIRST + SECOND), /new .*ams-1\nnew .*nrt-1\nnext: /)
  const secret = (name: string) => readFileSync(at('ams-1', 'secrets', name), 'utf8')
  assert.equal(statSync(at('ams-1', 'secrets', 'cluster.key')).mode & 0o777, 0o600)
  assert.equal(loadHostConfig(at('nrt-1', 'host.toml')).worker.pool_gb, 500)
  const before = [secret('server.key'), secret('nats.seed'), secret('cluster.key')]
  const third = host('iad-1', 'iad', '192.0.2.3', '"worker", "gateway"')
  assert.match(
    await found(folder, FIRST + SECOND + third),
    /kept .*ams-1\nkept .*nrt-1\nnew .*iad-1/,
  )
  assert.deepEqual([secret('server.key'), secret('nats.seed'), secret('cluster.key')], before)
  const members = (name: string) => loadHostConfig(at(name, 'host.toml')).members
  assert.deepEqual(members('ams-1'), members('iad-1'))
  assert.equal(members('ams-1').length, 3)
  const key = (name: string) => readFileSync(at(name, 'secrets', 'cluster.key'), 'utf8')
  assert.equal(key('iad-1'), key('ams-1'))
})

test('a plan that cannot be is refused with all that is wrong, before anything is written', async (t) => {
  const folder = folderOf(t)
  const twice = SECOND.replaceAll('192.0.2.2', '192.0.2.3') + SECOND
  await assert.rejects(found(folder, twice), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'host.config_bad')
    for (const said of [/named nrt-1/, /role nats/, /gateway/]) assert.match(error.message, said)
    return true
  })
  assert(!existsSync(join(folder, 'cluster')))
})

test('a folder that lost a file of the cluster is not taken for a new cluster', async (t) => {
  const folder = folderOf(t)
  await found(folder, FIRST)
  rmSync(join(folder, 'cluster', 'ca.pem'))
  await assert.rejects(found(folder, FIRST), { code: 'host.cluster_bad' })
})

test('install gives the daemons to systemd, and --remove takes them away', async (t) => {
  const folder = folderOf(t)
  await found(folder, FIRST)
  const config = join(folder, 'cluster', 'ams-1', 'host.toml')
  const called: string[] = []
  const install = async (...words: string[]) => {
    let printed = ''
    const print = (text: string) => {
      printed += text
    }
    const command = installCommand(print, async (...asked) => {
      called.push(asked.join(' '))
    })
    const where = ['--unit-folder', folder, '--config', config]
    await command.parseAsync([...words, ...where], { from: 'user' })
    return printed
  }
  assert.match(await install(), /ams-1: .*godwit.service is written, and its daemons are started/)
  const unit = readFileSync(join(folder, 'godwit.service'), 'utf8')
  assert(unit.includes(`host run --config "${config}"`))
  assert.match(unit, /^KillMode=process$/m)
  assert.deepEqual(called, ['daemon-reload', 'enable godwit.service', 'restart godwit.service'])
  assert.match(await install('--remove'), /is removed/)
  assert(!existsSync(join(folder, 'godwit.service')))
  assert.deepEqual(called.slice(3), ['disable --now godwit.service', 'daemon-reload'])
  rmSync(config)
  await assert.rejects(install('--no-start'), { code: 'base.config_unreadable' })
})
