import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { parse } from 'smol-toml'
import type { AppConfig } from './app-config.ts'
import type { JsonObject } from './json-object.ts'
import { groupMachine } from './machine-config.ts'
import { defaultGroup } from './process-groups.ts'
import { checkDocument, deployable } from './read-app-config.ts'

const parsed = (text: string): AppConfig =>
  deployable(checkDocument(structuredClone(parse(text)) as JsonObject))

const noFiles = (path: string): Buffer => {
  throw new Error(`nobody should read ${path}`)
}

const machineOf = (text: string, group = 'app', current?: JsonObject) =>
  groupMachine(parsed(text), group, {
    readLocalFile: noFiles,
    ...(current === undefined ? {} : { current }),
  }).config

test('a first deploy sends what the stock client was seen to send', () => {
  const seen = JSON.parse(
    readFileSync(
      new URL('../../test/fixtures/flyctl/deploy-first-machine.json', import.meta.url),
      'utf8',
    ),
  )
  const config = machineOf(`
app = "heron"
primary_region = "ams"
[http_service]
internal_port = 8080
force_https = true
auto_stop_machines = true
auto_start_machines = true
min_machines_running = 0
[[http_service.checks]]
interval = "10s"
timeout = "2s"
grace_period = "5s"
method = "GET"
path = "/healthz"
[[vm]]
size = "shared-cpu-1x"
`)
  const { image: _image, ...expected } = seen.config
  const [{ force_instance_key: _key, ...service }] = expected.services
  const {
    fly_flyctl_version: _v,
    fly_release_id: _i,
    fly_release_version: _r,
    ...metadata
  } = expected.metadata
  assert.deepEqual(config, { ...expected, metadata, services: [service] })
})

test('a section without processes is for the default group, which is app or the first by name', () => {
  const text = `
[processes]
worker = "work --hard 'all day'"
web = ""
[[mounts]]
source = "data"
destination = "/data"
[http_service]
internal_port = 8080
processes = ["web"]
`
  assert.equal(defaultGroup(parsed(text)), 'web')
  const [web, worker] = [machineOf(text, 'web'), machineOf(text, 'worker')]
  assert.deepEqual(web['mounts'], [{ name: 'data', path: '/data' }])
  assert.deepEqual(web['init'], {})
  assert.ok(web['services'])
  assert.equal(worker['mounts'], undefined)
  assert.equal(worker['services'], undefined)
  assert.deepEqual(worker['init'], { cmd: ['work', '--hard', 'all day'] })
})

test('the size that names a group beats the one for all', () => {
  const text = `
[processes]
web = "a"
worker = "b"
[[vm]]
size = "shared-cpu-2x"
[[vm]]
size = "performance-1x"
memory = "4gb"
processes = ["worker"]
`
  assert.deepEqual(machineOf(text, 'web')['guest'], {
    cpu_kind: 'shared',
    cpus: 2,
    memory_mb: 512,
  })
  assert.deepEqual(machineOf(text, 'worker')['guest'], {
    cpu_kind: 'performance',
    cpus: 1,
    memory_mb: 4096,
  })
})

test('without a size the machine keeps its own; what the file no longer says is gone; the rest stays', () => {
  const current = {
    image: 'old',
    guest: { cpu_kind: 'shared', cpus: 8, memory_mb: 4096 },
    env: { OLD: '1' },
    checks: { gone: {} },
    schedule: 'daily',
    metadata: { own: 'x', fly_process_group: 'web' },
  }
  assert.deepEqual(machineOf('[env]\nNEW = "1"\n', 'app', current), {
    image: 'old',
    guest: current.guest,
    schedule: 'daily',
    env: { NEW: '1', FLY_PROCESS_GROUP: 'app' },
    init: {},
    metadata: { own: 'x', fly_platform_version: 'v2', fly_process_group: 'app' },
  })
})

test('the primary region wins over [env]', () => {
  const config = machineOf('primary_region = "ord"\n[env]\nPRIMARY_REGION = "x"\n')
  assert.equal((config['env'] as JsonObject)['PRIMARY_REGION'], 'ord')
})

test('of two restart policies for a group the last counts, and never is no', () => {
  const text = '[[restart]]\npolicy = "always"\n[[restart]]\npolicy = "never"\nretries = 3\n'
  assert.deepEqual(machineOf(text)['restart'], { policy: 'no', max_retries: 3 })
})

test('nothing about stopping means no stop_config', () => {
  assert.equal(machineOf('app = "heron"\n')['stop_config'], undefined)
  assert.deepEqual(machineOf('kill_timeout = 30\n')['stop_config'], { timeout: '30s' })
})

test('autostop goes over the wire as a truth value or suspend', () => {
  const autostop = (value: string) => {
    const config = machineOf(`[http_service]\ninternal_port = 1\nauto_stop_machines = ${value}\n`)
    return (config['services'] as { autostop: unknown }[])[0]?.autostop
  }
  assert.deepEqual(['"off"', '"stop"', '"suspend"', 'true', 'false'].map(autostop), [
    false,
    true,
    'suspend',
    true,
    false,
  ])
})

test('a check without a port checks the HTTP service, with its method in capitals', () => {
  const text = `
[http_service]
internal_port = 8080
[checks.up]
type = "http"
method = "get"
headers = { Host = "heron" }
`
  assert.deepEqual(machineOf(text)['checks'], {
    up: { type: 'http', method: 'GET', headers: [{ name: 'Host', values: ['heron'] }], port: 8080 },
  })
})

test('files go as base64, from here, from the configuration or from a secret', () => {
  const config = parsed(`
[[files]]
guest_path = "/etc/a"
local_path = "a.txt"
[[files]]
guest_path = "/etc/b"
raw_value = "hello"
[[files]]
guest_path = "/etc/c"
secret_name = "C"
`)
  const { files } = groupMachine(config, 'app', {
    readLocalFile: (path) => Buffer.from(`<${path}>`),
  }).config
  assert.deepEqual(files, [
    { guest_path: '/etc/a', raw_value: Buffer.from('<a.txt>').toString('base64') },
    { guest_path: '/etc/b', raw_value: 'aGVsbG8=' },
    { guest_path: '/etc/c', secret_name: 'C' },
  ])
})

test('experimental commands are used by groups without a command of their own', () => {
  const text = '[experimental]\ncmd = ["a"]\nentrypoint = ["e"]\n[processes]\napp = ""\nweb = "w"\n'
  assert.deepEqual(machineOf(text, 'app')['init'], { entrypoint: ['e'], cmd: ['a'] })
  assert.deepEqual(machineOf(text, 'web')['init'], { entrypoint: ['e'], cmd: ['w'] })
})

test('a group that is not there is refused by name', () => {
  assert.throws(() => machineOf('app = "heron"\n', 'web'), { code: 'app_config.no_group' })
})
