import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { pollUntil } from '#base'

const GODWIT = resolve(import.meta.dirname, '../../bin/godwit')
const folder = mkdtempSync(join(tmpdir(), 'godwit-cli-corrosion-'))
const config = join(folder, 'agent.toml')
let agent: ReturnType<typeof spawn>
let apiAddress = ''

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function run(...args: string[]): Promise<Ended> {
  return new Promise((done) => {
    execFile(GODWIT, ['corrosion', ...args], { cwd: folder }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

const on = (...args: string[]) => run('-c', config, '--api-addr', apiAddress, ...args)

before(async () => {
  for (const args of [
    ['ca', 'generate'],
    ['client', 'generate'],
    ['server', 'generate', '127.0.0.1'],
  ]) {
    const { code, stderr } = await run('tls', ...args)
    assert.equal(code, 0, stderr)
  }
  writeFileSync(
    join(folder, 'schema.sql'),
    `CREATE TABLE tests (id INTEGER NOT NULL PRIMARY KEY, text TEXT NOT NULL DEFAULT '', b BLOB, r REAL);`,
  )
  const port = 20_000 + (process.pid % 20_000)
  apiAddress = `127.0.0.1:${port}`
  writeFileSync(
    config,
    `db = { path = "state.db", schema_paths = ["schema.sql"] }
api = { bind_addr = "${apiAddress}" }
admin = { uds_path = "admin.sock" }
log = { format = "json" }
[gossip]
bind_addr = "127.0.0.1:0"
[gossip.tls]
ca_file = "ca_cert.pem"
cert_file = "server_cert.pem"
key_file = "server_key.pem"
client = { cert_file = "client_cert.pem", key_file = "client_key.pem" }
`,
  )
  agent = spawn(GODWIT, ['corrosion', '-c', config, 'agent'], { cwd: folder, stdio: 'ignore' })
  const answers = async () => (await on('query', 'SELECT 1')).code === 0
  await pollUntil('the agent answers', answers, { deadlineMs: 20_000 })
})

after(async () => {
  const ended = new Promise((done) => agent.once('exit', done))
  agent.kill('SIGTERM')
  assert.equal(await ended, 0, 'a clean stop')
  rmSync(folder, { recursive: true })
})

test('rows are written and read as a user sees them', async () => {
  const written = await on(
    'exec',
    'INSERT INTO tests (id, text) VALUES (?, ?)',
    '--param',
    '7',
    '--param',
    'seven',
  )
  assert.deepEqual([written.code, written.stdout], [0, 'Rows affected: 1\n'])
  const sql = `SELECT id, text, NULL AS none, x'00ff' AS b, 1.5 AS r FROM tests`
  assert.equal((await on('query', sql)).stdout, `7|seven||x'00ff'|1.5\n`)
  assert.equal(
    (await on('query', '--columns', 'SELECT id, text FROM tests')).stdout,
    'id|text\n7|seven\n',
  )
  const json = await on(
    'query',
    '--json',
    `SELECT id, 9007199254740993 AS big, x'01' AS b FROM tests`,
  )
  assert.deepEqual(JSON.parse(json.stdout), [{ id: 7, big: '9007199254740993', b: [1] }])
})

test('what fails says why, and what to do', async () => {
  const bad = await on('query', 'SELECT nope')
  assert.deepEqual([bad.code, bad.stdout], [1, ''])
  assert.match(bad.stderr, /no such column: nope/)
  const write = await on('query', 'DELETE FROM tests')
  assert.match(write.stderr, /statement is not readonly/)
  const twice = await on('exec', 'INSERT INTO tests (id) VALUES (7)')
  assert.equal(twice.code, 1)
  assert.match(twice.stderr, /UNIQUE constraint failed: tests.id/)
  const away = await run('--admin-path', join(folder, 'nope.sock'), 'cluster', 'members')
  assert.match(away.stderr, /no agent answers[\s\S]*fix: start the agent/)
})

test('the agent tells about itself, reloads its schema, and is backed up', async () => {
  const state = JSON.parse((await on('sync', 'generate')).stdout)
  assert.match(state.actor_id, /^[0-9a-f]{8}-/)
  assert.equal((await on('sync', 'check-bookie-consistency')).code, 0)
  assert.equal((await on('cluster', 'members')).stdout, '')
  assert.equal(
    JSON.parse((await on('actor', 'version', state.actor_id, '1')).stdout).current.db_version,
    1,
  )
  assert.deepEqual(JSON.parse((await on('subs', 'list')).stdout), [])
  writeFileSync(join(folder, 'schema.sql'), `CREATE TABLE more (id INTEGER NOT NULL PRIMARY KEY);`)
  assert.equal((await on('reload')).code, 0)
  assert.equal((await on('query', 'SELECT count(*) FROM more')).stdout, '0\n')
  assert.equal((await on('backup', join(folder, 'copy.db'))).code, 0)
  assert.ok(statSync(join(folder, 'copy.db')).size > 0)
  const again = await on('backup', join(folder, 'copy.db'))
  assert.match(again.stderr, /output file already exists/)
  assert.match((await on('restore', join(folder, 'copy.db'))).stderr, /currently running/)
})

test('keys are readable by their owner only, and never replaced', async () => {
  assert.equal(statSync(join(folder, 'ca_key.pem')).mode & 0o777, 0o600)
  const again = await run('tls', 'ca', 'generate')
  assert.equal(again.code, 1)
  assert.match(again.stderr, /the file exists already/)
})
