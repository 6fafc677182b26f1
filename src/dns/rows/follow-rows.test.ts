import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog, pollUntil } from '#base'
import { Directory } from '../directory/directory.ts'
import { AgentProcess } from '../fixture/agent.ts'
import { ask, NETWORK } from '../fixture/world.ts'
import { RCODE, TYPE } from '../wire/constants.ts'
import { followRows } from './follow-rows.ts'

const log = createLog({ part: 'dns', level: 'silent' })
const reach = (what: string, look: () => boolean) => pollUntil(what, look, { deadlineMs: 120_000 })

const machine = (id: string, config = '{}') =>
  `INSERT INTO machines (id, host_id, app_id, org_id, network_id, region, state, process_group, private_ip, metadata, config)
   VALUES ('${id}', 'h', 'a1', 'acme', ${NETWORK}, 'ams', 'started', 'app', 'fdaa:2:45b:a7b:1:0:${id.slice(1)}:2', '{"role":"Leader"}', '${config}')`

test("a real agent's rows are names, while it is dead, and as they are when it is back", async () => {
  await using agent = await AgentProcess.start()
  await agent.write(
    `INSERT INTO apps (id, name, org_id, network_id) VALUES ('a1', 'web', 'acme', ${NETWORK})`,
    machine('m1'),
    machine('m2'),
    machine('m3', '{"dns":{"skip_registration":true}}'),
    `INSERT INTO services (machine_id, protocol, internal_port, host_id, ports)
     VALUES ('m2', 'tcp', 8080, 'h', '[{"port":80,"handlers":["http"]},{"start_port":90,"end_port":95}]')`,
    `INSERT INTO ips (address, app_id, kind, network_id) VALUES ('fdaa:2:45b:0:1::7', 'a1', 'private_v6', ${NETWORK})`,
    `INSERT INTO wireguard_peers (public_key, org_id, network_id, name, peer_ip)
     VALUES ('k', 'acme', ${NETWORK}, 'laptop', 'fdaa:2:45b:a7b:2:0:a:2')`,
    `INSERT INTO regions (name, host_id, latitude) VALUES ('fra', 'h', 50.1)`,
    `INSERT INTO host_links (host_id, peer_id, rtt_us) VALUES ('h-ams', 'h', 700)`,
    `INSERT INTO acme_challenges (hostname, token, kind, answer) VALUES ('web.test', 't', 'dns-01', 'proof')`,
  )
  const directory = new Directory()
  await using rows = followRows({ url: agent.url, directory, log })
  const web = () => ask(directory, 'web.internal')?.data ?? []
  const both = ['fdaa:2:45b:a7b:1:0:1:2', 'fdaa:2:45b:a7b:1:0:2:2']

  await reach('all rows', () => rows.isComplete && rows.isConnected)
  assert.deepEqual(web(), both)
  assert.equal(ask(directory, 'leader.role.kv._metadata.web.internal')?.data.length, 2)
  assert.deepEqual(ask(directory, 'web.flycast')?.data, ['fdaa:2:45b:0:1::7'])
  const served = (port: string) => ask(directory, `_${port}._tcp.web.internal`, TYPE.SRV)?.data
  const serving = ['1 1 8080 m2.vm.web.internal.']
  assert.deepEqual([served('http'), served('93')], [serving, serving])
  assert.deepEqual(ask(directory, '_peer.internal', TYPE.TXT)?.data, ['laptop'])
  assert.equal(ask(directory, 'fra.web.internal')?.rcode, RCODE.NOERROR)
  assert.equal([...directory.links('h-ams')][0]?.rttUs, 700)
  assert.deepEqual(directory.challenges('web.test'), ['proof'])

  await agent.write(`UPDATE machines SET state = 'stopped' WHERE id = 'm1'`)
  await reach('the stop', () => web().length === 1)
  await agent.write(`UPDATE machines SET state = 'started' WHERE id = 'm1'`)
  await reach('the start', () => web().length === 2)

  await agent.write(
    `INSERT INTO checks (machine_id, name, host_id, status, is_service) VALUES ('m2', 'c', 'h', 'critical', 1)`,
  )
  await reach('the failed check', () => served('http')?.length === 0)
  await agent.write(`UPDATE checks SET status = 'passing' WHERE machine_id = 'm2'`)
  await reach('the check that passes', () => served('http')?.length === 1)

  await agent.kill()
  await reach('the loss of the agent', () => !rows.isConnected)
  assert.deepEqual(web(), both)
  assert.equal(rows.isComplete, true)

  await agent.start()
  await agent.write(`DELETE FROM machines WHERE id = 'm1'`, machine('m4'))
  await reach('the rows as they are now', () => web()[1] === 'fdaa:2:45b:a7b:1:0:4:2')
  assert.deepEqual(web(), [both[1], 'fdaa:2:45b:a7b:1:0:4:2'])
  await reach('all connections', () => rows.isConnected)
})
