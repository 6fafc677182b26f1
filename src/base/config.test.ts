import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { Type } from 'typebox'
import { fc } from '#property'
import { type ConfigOptions, loadConfig } from './config.ts'
import { lineOf, nearest } from './config-problems.ts'
import { GodwitError } from './errors.ts'

const closed = { additionalProperties: false }
const schema = Type.Object(
  {
    region: Type.String(),
    port: Type.Integer({ minimum: 1, maximum: 65_535, default: 4280 }),
    nats: Type.Object(
      { url: Type.String({ default: 'nats://[::1]' }), tls: Type.Boolean({ default: false }) },
      { ...closed, default: {} },
    ),
    peers: Type.Optional(Type.Array(Type.Object({ name: Type.String() }, closed))),
  },
  closed,
)

function load(t: TestContext, text: string, env: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'host.toml')
  writeFileSync(file, text)
  const options: ConfigOptions<typeof schema> = { schema, file, envPrefix: 'GODWIT', env }
  return loadConfig(options)
}

test('file, environment and defaults make one frozen configuration', (t) => {
  const env = { GODWIT_PORT: '99', GODWIT_NATS_TLS: 'true', GODWIT_OTHER: 'ignored' }
  const config = load(t, 'region = "ams"\n[nats]\nurl = "nats://x"', env)
  assert.deepEqual(config, { region: 'ams', port: 99, nats: { url: 'nats://x', tls: true } })
  assert(Object.isFrozen(config) && Object.isFrozen(config.nats))
})

test('the environment alone may do', () => {
  const config = loadConfig({ schema, envPrefix: 'G', env: { G_REGION: 'nrt' } })
  assert.deepEqual(config, { region: 'nrt', port: 4280, nats: { url: 'nats://[::1]', tls: false } })
})

test('a wrong value is told with file, line, key, expected type and what was found', (t) => {
  assert.throws(() => load(t, 'region = "ams"\n\nport = "http"'), {
    code: 'base.config_bad',
    message: /host\.toml:3: port: must be integer, found "http"/,
  })
})

test('a wrong variable is told by its name', (t) => {
  assert.throws(
    () => load(t, 'region = "ams"', { GODWIT_PORT: 'http' }),
    /environment variable GODWIT_PORT: port: must be integer, found "http"/,
  )
})

test('an unknown key is told with the nearest one, a missing one by name', (t) => {
  assert.throws(
    () => load(t, 'regoin = "ams"'),
    (error: GodwitError) => {
      assert.match(error.message, /host\.toml:1: regoin: unknown key; did you mean 'region'\?/)
      assert.match(error.message, /lacks 'region'/)
      return true
    },
  )
  assert.throws(
    () => load(t, 'region="a"\n[[peers]]\nname="x"\n[[peers]]\nname="y"\nzone=1'),
    /host\.toml:6: peers\[1\]\.zone: unknown key; known are name/,
  )
})

test('text that is no TOML is told with line and column', (t) => {
  assert.throws(() => load(t, 'region = "ams"\nport ='), /not TOML: .*host\.toml:2:/)
})

test('a file that is not there is told by name', () => {
  assert.throws(() => loadConfig({ schema, file: '/nonexistent.toml' }), {
    code: 'base.config_unreadable',
    message: /nonexistent\.toml, why=ENOENT/,
  })
})

test('any text gives a configuration or a GodwitError', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        load(t, text)
      } catch (error) {
        assert(error instanceof GodwitError)
      }
    }),
    { numRuns: 50 },
  )
})

test('a line is found in tables and lists of tables', () => {
  const source = 'a = 1\n[b]\nc = 2\n[[d]]\ne = 3\n[[d]]\ne = 4\n[d.f]\ng = 5'
  assert.equal(lineOf(source, '/b/c'), ':3')
  assert.equal(lineOf(source, '/d/1/e'), ':7')
  assert.equal(lineOf(source, '/d/1/f/g'), ':9')
  assert.equal(lineOf(source, '/nothing'), '')
})

test('the nearest word is a likely one', () => {
  assert.equal(nearest('statsu', ['start', 'status', 'stop']), 'status')
  assert.equal(nearest('xyzzy', ['start', 'status']), undefined)
})
