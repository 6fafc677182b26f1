import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { fc } from '#property'
import { findConfig, namedConfig } from './find-config.ts'
import type { JsonObject } from './json-object.ts'
import { checkDocument, deployable, problemText, readAppConfig } from './read-app-config.ts'
import { configReference } from './reference.ts'

/** Reads a configuration as if it stood in a file of that name. */
function read(t: TestContext, text: string, name = 'fly.toml') {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-app-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, name)
  writeFileSync(file, text)
  const found = readAppConfig(file)
  return {
    ...found,
    lines: found.problems.map((problem) => problemText({ ...problem, file: name })),
    errors: found.problems
      .filter(({ severity }) => severity === 'error')
      .map(({ key, what }) => `${key}: ${what}`),
    warnings: found.problems
      .filter(({ severity }) => severity === 'warning')
      .map(({ key, what }) => `${key}: ${what}`),
  }
}

const GOOD = `
app = "heron"
primary_region = "ams"

[http_service]
  internal_port = 8080
  force_https = true
  auto_stop_machines = "stop"
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
`

test('a configuration as launch writes it has no problem', (t) => {
  const { problems, config } = read(t, GOOD)
  assert.deepEqual(problems, [])
  assert.equal(config?.http_service?.internal_port, 8080)
})

test('a problem is told with its line, its key and what to do', (t) => {
  const { lines } = read(t, `app = "heron"\n\n[http_service]\n  internal_port = "web"\n`)
  assert.deepEqual(lines, ['fly.toml:4: http_service.internal_port: must be integer, found "web"'])
})

test('what is no TOML is told with line and column', (t) => {
  assert.throws(() => read(t, 'app = "heron"\nx = = 1\n'), {
    code: 'app_config.unparsable',
    message: /fly\.toml:2:\d+: /,
  })
})

test('a key that nobody knows is a warning with the key that was meant', (t) => {
  const { warnings, config } = read(t, `${GOOD}\n[deploy]\nstrateggy = "rolling"\nother = 1\n`)
  assert.deepEqual(warnings, [
    "deploy.strateggy: unknown key; did you mean 'strategy'?",
    `deploy.other: unknown key; known are strategy, max_unavailable, wait_timeout, release_command, release_command_timeout, release_command_vm, seed_command`,
  ])
  assert.deepEqual(config?.deploy, {})
})

test('the name is known however wrong the rest is', (t) => {
  const { app, config } = read(t, 'app = "heron"\n[restart]\npolicy = "always"\n')
  assert.equal(app, 'heron')
  assert.equal(config, undefined)
})

test('a number in any check is milliseconds, in a timeout of the deploy seconds', (t) => {
  const { config } = read(
    t,
    `kill_timeout = 30
[deploy]
wait_timeout = 120
[[http_service.checks]]
interval = 10000
[http_service]
internal_port = 1
`.replace(/(\[\[http.*\n.*\n)(\[http.*\n.*\n)/, '$2$1'),
  )
  assert.equal(config?.kill_timeout, '30s')
  assert.equal(config?.deploy?.wait_timeout, '2m0s')
  assert.equal(config?.http_service?.checks?.[0]?.interval, '10s')
})

test('one table where a list is meant is taken for services, mounts and vm, and not for restart', (t) => {
  const written = `[mounts]
source = "data"
destination = "/data"
[vm]
size = "performance-1x"
[services]
internal_port = "8080"
protocol = "tcp"
concurrency = "20,25"
[services.ports]
port = "443"
handlers = ["tls", "http"]
`
  const { config, problems } = read(t, written)
  assert.deepEqual(problems, [])
  assert.deepEqual(config?.mounts, [{ source: 'data', destination: '/data' }])
  assert.deepEqual(config?.services, [
    {
      internal_port: 8080,
      protocol: 'tcp',
      concurrency: { type: 'requests', soft_limit: 20, hard_limit: 25 },
      ports: [{ port: 443, handlers: ['tls', 'http'] }],
    },
  ])
  assert.match(read(t, '[restart]\npolicy = "always"\n').errors.join(), /restart: must be array/)
  const checks = '[http_service]\ninternal_port = 1\n[http_service.checks]\npath = "/"\n'
  assert.match(read(t, checks).errors.join(), /http_service\.checks: must be array/)
})

test('sections under their older names are read, and problems of them show where they stand', (t) => {
  const { config, lines } = read(t, '[mount]\nsource = "data"\ndestination = "/"\n')
  assert.equal(config?.mounts?.length, 1)
  assert.deepEqual(lines, [
    "fly.toml:3: mounts[0].destination: is '/'; use an absolute path other than /",
  ])
})

test('other older forms: processes, env, checks and headers as lists, build_target, experimental', (t) => {
  const { config, problems } = read(
    t,
    `[[processes]]
name = "web"
command = "serve"
[[env]]
PORT = 8080
DEBUG = true
[[checks]]
name = "up"
type = "http"
port = 8080
[[checks.headers]]
name = "Host"
value = "heron"
[build]
build_target = "prod"
[experimental]
cmd = "run"
kill_timeout = 7
metrics_port = 9091
metrics_path = "/metrics"
`,
  )
  assert.deepEqual(problems, [])
  assert.deepEqual(config?.processes, { web: 'serve' })
  assert.deepEqual(config?.env, { PORT: '8080', DEBUG: 'true' })
  assert.deepEqual(config?.checks, { up: { type: 'http', port: 8080, headers: { Host: 'heron' } } })
  assert.deepEqual(config?.build, { 'build-target': 'prod' })
  assert.deepEqual(config?.experimental, { cmd: ['run'] })
  assert.deepEqual(config?.metrics, [{ port: 9091, path: '/metrics' }])
  assert.equal(config?.kill_timeout, '7s')
})

test('YAML and JSON are read, with lines, and integers in YAML are durations too', (t) => {
  const yaml = read(t, 'app: heron\nkill_timeout: 30\nvm:\n  - size: big\n', 'fly.yaml')
  assert.equal(yaml.config?.kill_timeout, '30s')
  assert.deepEqual(yaml.lines, [
    "fly.yaml:4: vm[0].size: is 'big'; it begins with 'shared' or 'performance', such as shared-cpu-1x",
  ])
  const json = read(t, '{\n  "app": "heron",\n  "kill_signal": "SIGSTP"\n}', 'fly.json')
  assert.match(json.lines.join(), /^fly\.json:3: kill_signal: is 'SIGSTP'; use SIGHUP/)
  assert.throws(() => read(t, '{"app": }', 'fly.json'), { code: 'app_config.unparsable' })
})

test('a file that ends in .yml is read as TOML, so YAML in it is refused', (t) => {
  assert.throws(() => read(t, 'app: heron\n', 'fly.yml'), { code: 'app_config.unparsable' })
})

/** Each configuration, and the one error that it has. */
const refused: readonly (readonly [string, RegExp])[] = [
  [
    '[processes]\nweb = "a"\nworker = "b"\n[[services]]\ninternal_port = 1\n[[services.ports]]\nport = 80\n',
    /^services\[0\]: Service has no processes set but app has 2 processes defined/,
  ],
  [
    `[http_service]\ninternal_port = 1\n[http_service.http_options.response.headers]\nx-long = "${'v'.repeat(20_000)}"\n`,
    /headers: are 20006 bytes together; at most 16384/,
  ],
  [
    '[http_service]\ninternal_port = 1\nprocesses = ["nope"]\n',
    /^http_service\.processes: names 'nope'; process groups are app$/,
  ],
  [
    '[[mounts]]\nsource = "a"\ndestination = "/a"\n[[mounts]]\nsource = "b"\ndestination = "/b"\n',
    /^mounts: are 2 for process group 'app'/,
  ],
  [
    '[deploy]\nstrategy = "canary"\n[mounts]\nsource = "a"\ndestination = "/a"\n',
    /canary deployment strategy is not supported when using mounted volumes/,
  ],
  ['[mounts]\nsource = "a"\ndestination = "/a"\nsnapshot_retention = 61\n', /use 1 to 60/],
  [
    '[mounts]\nsource = "a"\ndestination = "/a"\nauto_extend_size_threshold = 49\nauto_extend_size_increment = 1\nauto_extend_size_limit = 5\n',
    /threshold: is 49; use 50 to 99/,
  ],
  [
    '[mounts]\nsource = "a"\ndestination = "/a"\nauto_extend_size_threshold = 50\nauto_extend_size_increment = "101gb"\nauto_extend_size_limit = 5\n',
    /increment: is 101; use 1 to 100/,
  ],
  [
    '[mounts]\nsource = "a"\ndestination = "/a"\nauto_extend_size_threshold = 80\n',
    /must be all defined or none/,
  ],
  [
    '[checks.up]\ntype = "tcp"\nport = 1\ninterval = "1s"\n',
    /^checks\.up\.interval: is 1s; use 2s or more/,
  ],
  ['[checks.up]\ntype = "tcp"\n', /check 'up' of process group 'app' has no port/],
  ['[checks.up]\ntype = "script"\nport = 1\n', /checks\.up\.type: is 'script'; use http or tcp/],
  [
    '[[restart]]\npolicy = "no"\n',
    /restart\[0\]\.policy: is 'no'; use always, never or on-failure/,
  ],
  ['[[vm]]\nsize = "shared-cpu-3x"\n', /use shared-cpu-1x, shared-cpu-2x, /],
  [
    '[[vm]]\ncpu_kind = "shared"\ncpus = 4\nmemory = "512mb"\n',
    /vm\[0\]\.memory: is 512 MiB; the least/,
  ],
  ['[[vm]]\ncpus = 5\n', /vm\[0\]\.cpus: is 5; shared has 1, 2, 4, 6 or 8/],
  ['[[vm]]\nmemory = 300\n', /use a multiple of 256/],
  ['[deploy]\nstrategy = "bluegreen"\n', /bluegreen needs a health check/],
  ['[deploy]\nmax_unavailable = 0\n', /use a share above 0/],
  ['[deploy]\nwait_timeout = "soon"\n', /write a duration like 10s/],
  ['[deploy]\nrelease_command = "run \'it"\n', /quote that is not closed/],
  ['[http_service]\nforce_https = true\n', /lacks internal_port/],
  [
    '[[services]]\ninternal_port = 1\n[[services.ports]]\nport = 80\nhandlers = ["htp"]\n',
    /handlers\[0\]: is 'htp'; did you mean 'http'\?/,
  ],
  [
    '[[services]]\ninternal_port = 1\n[[services.ports]]\nstart_port = 90\nend_port = 80\n',
    /ends with port 80, before its start 90/,
  ],
  ['[[files]]\nguest_path = "/a"\n', /exactly one of local_path, secret_name and raw_value/],
  ['app = "Heron_1"\n', /^app: is 'Heron_1'/],
]

test('what cannot be deployed is an error that says what to do', (t) => {
  for (const [text, expected] of refused) {
    const { errors } = read(t, text)
    assert.equal(errors.length, 1, `${text}\n${errors.join('\n')}`)
    assert.match(errors[0] ?? '', expected)
  }
})

test('what works less than it seems to is a warning', (t) => {
  const { warnings, errors } = read(
    t,
    `kill_timeout = "400s"
[env]
FLY_THING = "x"
DB_PASSWORD = "hunter2"
[[services]]
internal_port = 1
min_machines_running = 1
[[services.tcp_checks]]
interval = "500ms"
[[services]]
protocol = "udp"
internal_port = 1
[[services.ports]]
port = 2
`,
  )
  assert.deepEqual(errors, [])
  assert.deepEqual(
    warnings.map((warning) => warning.split(':')[0]),
    [
      'kill_timeout',
      'env.FLY_THING',
      'env.DB_PASSWORD',
      'services[0].min_machines_running',
      'services[0]',
      'services[0].tcp_checks[0].interval',
      'services[1].ports[0].port',
    ],
  )
})

test('a configuration with errors is not deployable, and all of them are told', (t) => {
  const found = read(t, '[[vm]]\ncpus = 5\n[deploy]\nstrategy = "x"\n')
  assert.throws(() => deployable(found), {
    code: 'app_config.bad',
    message: /App configuration is not valid: .*vm\[0\]\.cpus.*deploy\.strategy/,
  })
})

test('fly.toml is found before fly.json and fly.yaml; a named folder is looked into', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-app-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  assert.equal(findConfig(folder), undefined)
  assert.throws(() => namedConfig(folder), { code: 'app_config.not_found' })
  for (const name of ['fly.yaml', 'fly.json', 'fly.toml']) {
    writeFileSync(join(folder, name), '')
    assert.equal(namedConfig(folder), join(folder, name))
  }
  assert.throws(() => namedConfig(join(folder, 'nope')), { code: 'app_config.not_found' })
})

test('no document makes the reader fail', () => {
  const keys = fc.constantFrom(
    'app',
    'services',
    'checks',
    'vm',
    'mounts',
    'env',
    'processes',
    'http_service',
    'ports',
    'deploy',
    'experimental',
    'metrics',
    'headers',
    'concurrency',
    'name',
    'interval',
    'x',
  )
  const document = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue(),
      fc.dictionary(keys, tie('value')),
      fc.array(tie('value'), { maxLength: 3 }),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(keys, document.value), (written) => {
      const { problems } = checkDocument(written as JsonObject)
      for (const problem of problems) assert.ok(problem.what.length > 0)
    }),
  )
})

test('the canonical form is its own canonical form', (t) => {
  const { config } = read(t, GOOD)
  const again = checkDocument(config as unknown as JsonObject)
  assert.deepEqual(again.config, config)
  assert.deepEqual(again.problems, [])
})

test('the manual names every key as the schema does', () => {
  const manual = readFileSync(new URL('../../docs/fly-toml.md', import.meta.url), 'utf8')
  const [, reference] = manual.split('## Every key\n\n')
  assert.equal(reference, configReference(), 'godwit config keys prints what belongs there')
})
