import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { pollUntil, systemRandom } from '#base'
import { newKeyLine } from '#seal'
import { askTop } from '../admin/admin-client.ts'
import { answering, exchange, startMachine } from '../proxy.fixture.ts'
import { saveTable } from '../routing-table/saved-table.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { freePort } from './two-hosts.fixture.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const program = join(import.meta.dirname, '../../cli/main.ts')

/** The rows that the proxy of `h1` had at its last stop; corrosion is dead. */
async function writeFiles(folder: string, port: number, machine: number): Promise<string> {
  const ports = [{ port, handlers: ['http'] }]
  const rows = new TableFixture().app('a').ip('127.0.0.1', 'a')
  rows.machine('m1', 'a', 'h1', { ports, service: { internal_port: machine } })
  rows.change('m1', { private_ipv4: '127.0.0.1' })
  await saveTable(rows.table, join(folder, 'table'))
  writeFileSync(join(folder, 'keys'), newKeyLine('k', systemRandom), { mode: 0o600 })
  const file = join(folder, 'proxy.toml')
  writeFileSync(
    file,
    `region = "ams"
drain_s = 20
admin_socket = "${folder}/admin.sock"
[routing]
host = "h1"
app_domain = "apps.test"
folder = "${folder}"
key_ring = "${folder}/keys"
local_ca = "${folder}/ca"
corrosion = { url = "http://127.0.0.1:9" }
backhaul = { address = "127.0.0.1", port = ${await freePort()} }
`,
  )
  return file
}

test('the proxy of a host serves what it knew, and its successor takes over sockets, backhaul and admin socket', {
  timeout: 180_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-proxy-'))
  const serving: number[] = []
  try {
    await using machine = await startMachine(answering(OK))
    const port = await freePort()
    const file = await writeFiles(folder, port, machine.port)
    const args = ['--disable-warning=ExperimentalWarning', program, 'proxy', 'run', '-c', file]
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, GODWIT_LOG: 'info' },
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      for (const [, pid] of chunk.toString().matchAll(/"pid":(\d+)[^\n]*the proxy serves/g))
        serving.push(Number(pid))
    })
    const serves = (count: number) =>
      pollUntil('the proxy', () => serving.length === count && child.exitCode === null, {
        deadlineMs: 60_000,
      })
    await serves(1)
    assert.match(await exchange(port, GET), /^HTTP\/1\.1 200 OK/)
    assert.equal((await askTop(join(folder, 'admin.sock'))).apps[0]?.app, 'a')
    const ended = once(child, 'exit')
    child.kill('SIGUSR2')
    await pollUntil('the successor', () => serving.length === 2, { deadlineMs: 60_000 })
    assert.deepEqual(await ended, [0, null])
    assert.match(await exchange(port, GET), /^HTTP\/1\.1 200 OK/)
    assert.equal((await askTop(join(folder, 'admin.sock'))).apps[0]?.app, 'a')
  } finally {
    for (const pid of serving.slice(-1)) process.kill(pid, 'SIGKILL')
    rmSync(folder, { recursive: true })
  }
})
