import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { createLog, pollUntil } from '#base'
import {
  generateClusterCa,
  generateJoiningCa,
  generateServerCertificate,
  signCertificateRequest,
} from '#trust'
import { foundCluster } from '../found-cluster.ts'
import { type HostConfig, loadHostConfig } from '../host-config.ts'
import { HostSupervisor } from '../host-supervisor.ts'
import { joinCluster } from './join-cluster.ts'
import { caFingerprint, formatJoinToken, parseJoinToken } from './join-token.ts'
import {
  type JoinedMember,
  keepJoined,
  readJoined,
  validMembers,
  withJoined,
} from './joined-members.ts'

const log = createLog({ part: 'host', level: 'silent', format: 'json' })
const nkeyOf = (letter: string) => `U${letter.repeat(55)}`
const region = { code: 'ams', name: 'Amsterdam', latitude: 52.3, longitude: 4.9 }

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-join-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function twoHosts(t: TestContext): Promise<HostConfig> {
  const { hosts } = await foundCluster({
    hosts: [
      { host: 'ams-1', region, address: '192.0.2.1', roles: ['worker', 'gateway', 'nats'] },
      { host: 'ams-2', region, address: '192.0.2.2', roles: ['worker'] },
    ],
  })
  const file = join(folderOf(t), 'host.toml')
  writeFileSync(file, hosts[0]?.config ?? '')
  return { ...loadHostConfig(file), folder: folderOf(t) }
}

const joins = (host: string, changes: object = {}): JoinedMember => ({
  ...{ host, state: 'member', region: 'ams', address: '192.0.2.9', roles: ['worker'] },
  nkey: nkeyOf('B'),
  ...changes,
})

test('hosts that join are members, those that are removed are none, and a gateway stays what it is', async (t) => {
  const config = await twoHosts(t)
  const names = (joined: JoinedMember[]) =>
    withJoined(config, joined).members.map(({ host, nkey }) => `${host} ${nkey === nkeyOf('B')}`)
  assert.deepEqual(names([joins('ams-3')]), ['ams-1 false', 'ams-2 false', 'ams-3 true'])
  assert.deepEqual(
    names([joins('ams-2')]),
    ['ams-1 false', 'ams-2 true'],
    'it took the place of a dead one',
  )
  assert.deepEqual(names([{ host: 'ams-2', state: 'removed' }]), ['ams-1 false'])
  const forged: JoinedMember[] = [joins('ams-1'), { host: 'ams-1', state: 'removed' }]
  for (const one of forged) assert.deepEqual(names([one]), ['ams-1 false', 'ams-2 false'])
  const rows = [
    joins('a', { roles: ['gateway'] }),
    joins('a', { nkey: 'x' }),
    joins('a/b'),
    null,
    7,
    'x',
  ]
  assert.deepEqual(validMembers(rows), [])
})

test('what was known of members is known after a start, and a file that broke is none', async (t) => {
  const config = await twoHosts(t)
  assert.deepEqual(readJoined(config), [])
  keepJoined(config, [joins('ams-3')])
  assert.deepEqual(readJoined(config), [joins('ams-3')])
  writeFileSync(join(config.folder, 'members.json'), '[{"host":')
  assert.deepEqual(readJoined(config), [])
})

test('a part reads its configuration anew without a restart', async (t) => {
  const folder = folderOf(t)
  const told = join(folder, 'told')
  const script = `trap 'echo again >> ${told}' HUP; echo ready > ${told}; while :; do sleep 0.05; done`
  const part = {
    name: 'nats',
    command: 'sh',
    args: ['-c', script],
    reloadSignal: 'SIGHUP',
  } as const
  const supervisor = new HostSupervisor({ parts: [part], runDir: folder, log })
  t.after(() => supervisor.stop())
  supervisor.start()
  await supervisor.ready(AbortSignal.timeout(20_000))
  const has = (text: string) => existsSync(told) && readFileSync(told, 'utf8').includes(text)
  await pollUntil('its trap', () => has('ready'), { deadlineMs: 20_000 })
  const [{ pid } = { pid: null }] = supervisor.status()
  await supervisor.reload('nats', AbortSignal.timeout(20_000))
  await pollUntil('it to have heard', () => has('again'), { deadlineMs: 20_000 })
  assert.equal(supervisor.status()[0]?.pid, pid)
})

test('a token is read to its last character or not at all', () => {
  const secret = { id: '0123456789abcdef', secret: 's'.repeat(43), ca: 'f'.repeat(64) }
  const text = formatJoinToken(secret)
  assert.deepEqual(parseJoinToken(`${text}\n`), secret)
  for (const bad of [
    '',
    'gwj1',
    text.slice(0, -1),
    `${text}0`,
    `${text}.x`,
    text.replace('gwj1', 'gwj2'),
  ]) {
    assert.throws(() => parseJoinToken(bad), { code: 'host.join_refused' }, bad)
  }
})

const ca = await generateClusterCa()
const joining = await generateJoiningCa(ca)

/** A gateway that lets in whoever asks, with the certificate of that authority. */
async function gateway(t: TestContext, authority = ca) {
  const { certificatePem, privateKeyPem } = await generateServerCertificate(authority, {
    names: ['127.0.0.1'],
  })
  const asked: Record<string, unknown>[] = []
  const fails = { next: undefined as number | undefined }
  const server = createServer({ cert: certificatePem, key: privateKeyPem }, (request, response) => {
    if (request.url === '/v1/cluster/ca') return void response.end(authority.certificatePem)
    let text = ''
    request.on('data', (part) => {
      text += part
    })
    request.on('end', async () => {
      const body = JSON.parse(text)
      asked.push(body)
      if (fails.next !== undefined) {
        response.writeHead(fails.next).end('{"error":"permission_denied: it is used up"}')
        fails.next = undefined
        return
      }
      const certificate = await signCertificateRequest(joining, body.server_request, {
        names: ['192.0.2.9'],
      })
      const client = await signCertificateRequest(joining, body.client_request)
      const nats = {
        host: 'ams-1',
        region: 'ams',
        address: '192.0.2.1',
        roles: ['gateway', 'nats'],
        nkey: nkeyOf('A'),
      }
      const own = {
        host: body.host,
        region: 'ams',
        address: '192.0.2.9',
        roles: ['worker'],
        nkey: body.nkey,
      }
      const files = {
        'server.pem': certificate,
        'client.pem': client,
        'cluster.key': 'k',
        'edge-keys': 'e',
      }
      const secrets = { ...files, 'ca.pem': ca.certificatePem }
      response.end(JSON.stringify({ host: body.host, region, members: [nats, own], secrets }))
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, fails }
}

const tokenFor = (pem: string) =>
  formatJoinToken({ id: '0123456789abcdef', secret: 's'.repeat(43), ca: caFingerprint(pem) })

test('a bare server becomes a host: keys of its own, a file that its daemons can start from', async (t) => {
  const { url, asked, fails } = await gateway(t)
  const folder = join(folderOf(t), 'godwit')
  const options = {
    url,
    token: tokenFor(ca.certificatePem),
    name: 'ams-9',
    folder,
    signal: AbortSignal.timeout(20_000),
  }
  fails.next = 403
  await assert.rejects(joinCluster(options), { code: 'host.join_refused', message: /used up/ })
  assert(!existsSync(join(folder, 'host.toml')))
  const joined = await joinCluster({
    ...options,
    settings: {
      worker: { pool_gb: 5, image_cache_gb: 3 },
      region: { name: 'Amsterdam West', latitude: 52.4 },
    },
  })
  assert.deepEqual([joined.host, joined.region, joined.roles], ['ams-9', 'ams', ['worker']])
  const [first, second] = asked
  assert.equal(first?.['nkey'], second?.['nkey'], 'the gateway knows it again')
  const config = loadHostConfig(joined.configFile)
  assert.deepEqual([config.worker.pool_gb, config.folder, config.members.length], [5, folder, 2])
  assert.deepEqual(config.region, { ...region, name: 'Amsterdam West', latitude: 52.4 })
  for (const name of ['server.key', 'client.key', 'nats.seed', 'cluster.key']) {
    assert.equal(statSync(join(folder, 'secrets', name)).mode & 0o777, 0o600, name)
  }
  const key = readFileSync(join(folder, 'secrets', 'server.key'), 'utf8')
  assert(!JSON.stringify(asked).includes(key.split('\n')[1] ?? ''), 'its keys never left it')
  await assert.rejects(joinCluster(options), { code: 'host.running' })
})

test('nobody else can answer in the place of the cluster, and the token is not shown to who tries', async (t) => {
  const other = await generateClusterCa()
  const key = await generateServerCertificate(other, { names: ['127.0.0.1'] })
  const { url, asked } = await gateway(t, other)
  const folder = join(folderOf(t), 'godwit')
  const options = {
    url,
    token: tokenFor(ca.certificatePem),
    name: 'ams-9',
    folder,
    signal: AbortSignal.timeout(20_000),
  }
  await assert.rejects(joinCluster(options), {
    code: 'host.join_refused',
    message: /not of the cluster/,
  })
  assert.deepEqual(asked, [])
  assert(!existsSync(folder))
  const older = createServer(
    { cert: key.certificatePem, key: key.privateKeyPem },
    (_, response) => {
      response.writeHead(404).end('404 page not found')
    },
  ).listen(0, '127.0.0.1')
  await new Promise((resolve) => older.once('listening', resolve))
  t.after(() => older.close())
  const atOlder = { ...options, url: `https://127.0.0.1:${(older.address() as AddressInfo).port}` }
  await assert.rejects(joinCluster(atOlder), {
    code: 'host.join_refused',
    message: /no key to sign/,
  })
  const nowhere = { ...options, url: 'https://127.0.0.1:1' }
  await assert.rejects(joinCluster(nowhere), { code: 'host.gateway_away' })
})
