import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { pollUntil } from '#base'
import { AgentProcess } from '../fixture/agent.ts'
import { freePort } from '../fixture/free-port.ts'
import { NETWORK, SOURCE } from '../fixture/world.ts'

const run = promisify(execFile)
const GODWIT = join(import.meta.dirname, '../../../bin/godwit')
const DEADLINE = { deadlineMs: 120_000 }

test('godwit dns run answers, explains and measures itself, and lives on when corrosion is killed', async () => {
  await using agent = await AgentProcess.start()
  await agent.write(
    `INSERT INTO apps (id, name, org_id, network_id) VALUES ('a1', 'web', 'acme', ${NETWORK})`,
    `INSERT INTO machines (id, host_id, app_id, org_id, network_id, region, state, private_ip)
     VALUES ('m1', 'h', 'a1', 'acme', ${NETWORK}, 'ams', 'started', '${SOURCE}')`,
    `INSERT INTO ips (address, app_id, kind) VALUES ('192.0.2.7', 'a1', 'v4')`,
  )
  const [port, observe] = [await freePort(), await freePort()]
  const admin = join(agent.folder, 'dns.sock')
  const config = join(agent.folder, 'dns.toml')
  writeFileSync(
    config,
    `host_id = "h"
region = "ams"
listen = ["127.0.0.1:0"]
observe = "127.0.0.1:${observe}"
admin = "${admin}"
corrosion = { url = "${agent.url}" }
public = { domain = "apps.test", name_servers = ["ns1.test"], listen = ["127.0.0.1:${port}"] }
`,
  )
  const health = async () => {
    const response = await fetch(`http://127.0.0.1:${observe}/healthz`).catch(() => undefined)
    return response && { status: response.status, text: await response.text() }
  }
  const dig = async () =>
    (await run('dig', ['@127.0.0.1', '-p', `${port}`, '+short', 'web.apps.test', 'A'])).stdout
  const query = async (...words: string[]) =>
    (await run(GODWIT, ['dns', 'query', '--admin', admin, ...words])).stdout

  const daemon = spawn(GODWIT, ['dns', 'run', '-c', config], {
    stdio: ['ignore', 'ignore', 'ignore'],
  })
  const ended = once(daemon, 'exit')
  try {
    await pollUntil('health', async () => (await health())?.status === 200, DEADLINE)
    assert.equal(await dig(), '192.0.2.7\n')
    assert.equal(
      await query('web.internal', '--as', SOURCE),
      `web.internal. AAAA: NOERROR, started machines of the app\nAAAA  5 s  ${SOURCE}\n`,
    )
    const refused = JSON.parse(await query('web.internal', '--as', 'fdaa:7::1', '--json'))
    assert.deepEqual([refused.rcode, refused.records], ['REFUSED', []])
    await assert.rejects(
      query('web.internal', '--type', 'NONE', '--as', SOURCE),
      /not a record type/,
    )
    await agent.kill()
    const isAway = async () => (await health())?.text.includes('"is_connected":false')
    await pollUntil('the loss of corrosion', isAway, DEADLINE)
    assert.equal((await health())?.status, 200)
    assert.equal(await dig(), '192.0.2.7\n')
    const figures = await (await fetch(`http://127.0.0.1:${observe}/metrics`)).text()
    assert.match(figures, /dns_answers_total\{zone="public",channel="udp",rcode="NOERROR"\} 2/)
    assert.match(figures, /dns_rows_connected 0/)
  } finally {
    daemon.kill('SIGTERM')
    await ended
  }
  assert.equal(daemon.exitCode, 0)
  await assert.rejects(query('web.internal', '--as', SOURCE), /no resolver answers/)
})
