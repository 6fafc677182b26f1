import assert from 'node:assert/strict'
import test from 'node:test'
import { Action, type Caveat, caveatsFromJson, parseActions } from '#macaroon'
import type { Endpoint } from './endpoint.ts'
import { allEndpoints } from './endpoints/all.ts'
import { dischargedToken, newToken, undischargedToken } from './fixture/fixture-tokens.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'

/**
 * Who may do what, by hand: what each call is about, and the actions on it that a token must grant. A new
 * call without a row here fails, and so does one whose own rule says something else.
 */
const needed: Readonly<Record<string, string>> = {
  Apps_list: 'org r',
  Apps_create: 'newApp c',
  Apps_show: 'app r',
  Apps_delete: 'app d',
  Apps_create_deploy_token: 'app rwcdC',
  Machines_list: 'app r',
  Machines_create: 'newMachine c',
  Machines_show: 'machine r',
  Machines_update: 'machine w',
  Machines_delete: 'machine d',
  Machines_list_events: 'machine r',
  Machines_list_versions: 'machine r',
  Machines_start: 'machine C',
  Machines_stop: 'machine C',
  Machines_suspend: 'machine C',
  Machines_restart: 'machine C',
  Machines_signal: 'machine C',
  Machines_cordon: 'machine C',
  Machines_uncordon: 'machine C',
  Machines_wait: 'machine r',
  Machines_show_lease: 'machine r',
  Machines_create_lease: 'machine w',
  Machines_release_lease: 'machine w',
  Machines_exec: 'machine C command',
  Machines_list_processes: 'machine r',
  Machines_show_memory: 'machine r',
  Machines_set_memory: 'machine C',
  Machines_reclaim_memory: 'machine C',
  Machines_connect: 'machine C',
  Apps_issue_ssh_certificate: 'app C issueCertificate',
  Orgs_issue_ssh_certificate: 'org C issueCertificate',
  Machines_show_metadata: 'machine r metadata',
  Machines_replace_metadata: 'machine w metadata',
  Machines_merge_metadata: 'machine w metadata',
  Machines_show_metadata_key: 'machine r metadata',
  Machines_update_metadata: 'machine w metadata',
  Machines_delete_metadata: 'machine w metadata',
  Volumes_list: 'app r',
  Volumes_create: 'newVolume c',
  Volumes_show: 'volume r',
  Volumes_update: 'volume w',
  Volumes_delete: 'volume d',
  Volumes_extend: 'volume w',
  Volumes_list_snapshots: 'volume r',
  createVolumeSnapshot: 'volume c',
  Secrets_list: 'app r secrets',
  Secrets_update: 'app w secrets',
  Secret_show: 'app r secrets',
  Secret_create: 'app w secrets',
  Secret_delete: 'app d secrets',
  SecretKeys_list: 'app r secrets',
  SecretKey_show: 'app r secrets',
  SecretKey_set: 'app w secrets',
  SecretKey_generate: 'app w secrets',
  SecretKey_delete: 'app d secrets',
  SecretKey_encrypt: 'app C secrets',
  SecretKey_decrypt: 'app C secrets',
  SecretKey_sign: 'app C secrets',
  SecretKey_verify: 'app C secrets',
  App_IPAssignments_list: 'app r',
  App_IPAssignments_create: 'app c',
  App_IPAssignments_delete: 'app d',
  App_NetworkPolicies_list: 'app r',
  App_NetworkPolicies_put: 'app w',
  App_NetworkPolicies_delete: 'app d',
  App_Certificates_list: 'app r',
  App_Certificates_acme_create: 'app w',
  App_Certificates_show: 'app r',
  App_Certificates_check: 'app w',
  App_Certificates_delete: 'app d',
  App_Certificates_custom_create: 'app w',
  App_Certificates_acme_delete: 'app d',
  App_Certificates_custom_delete: 'app d',
  Releases_list: 'app r',
  Releases_create: 'app w',
  Releases_show: 'app r',
  Releases_update: 'app w',
  Logs_list: 'app r',
  Machines_org_list: 'org r',
  Volumes_org_list: 'org r',
  Tokens_list: 'org r',
  Tokens_create: 'org rwcdC',
  Tokens_revoke: 'org rwcdC',
  WireGuardPeers_list: 'org r wg',
  WireGuardPeers_create: 'org c wg addWireGuardPeer',
  WireGuardPeers_delete: 'org d wg',
  Organizations_list: 'token',
  Organizations_create: 'operators rwcdC',
  Organizations_show: 'org r',
  Organizations_delete: 'org d',
  Metrics_federate: 'org r',
  Metrics_series: 'org r',
  Metrics_labels: 'org r',
  Metrics_label_values: 'org r',
  WireGuardPeers_validate: 'org r wg',
  Platform_regions_get: 'token',
  Platform_placements_post: 'org r',
  CurrentToken_show: 'token',
  Tokens_request_OIDC: 'self',
  Tokens_request_Kms: 'self',
}

interface Ids {
  readonly machine: string
  readonly volume: string
}

interface Needed {
  readonly on: string
  /** Letters of actions. */
  readonly letters: string
  readonly isRead: boolean
  readonly isMint: boolean
  readonly isCommand: boolean
  /** Of an app or machine. */
  readonly feature: string | undefined
  readonly isWireGuard: boolean
  readonly isMutation: boolean
}

const MUTATIONS = ['issueCertificate', 'addWireGuardPeer']
const NO_FEATURES = ['command', 'wg', ...MUTATIONS]

function neededOf({ id }: Endpoint): Needed {
  const row = needed[id]
  assert(row !== undefined, `nobody has said who may call ${id}: give it a row`)
  const [on = '', letters = '', ...rest] = row.split(' ')
  return {
    on,
    letters,
    isMint: letters === 'rwcdC',
    isRead: letters === 'r',
    isCommand: rest.includes('command'),
    feature: rest.find((one) => !NO_FEATURES.includes(one)),
    isWireGuard: rest.includes('wg'),
    isMutation: rest.some((one) => MUTATIONS.includes(one)),
  }
}

const org = (id: number, mask = 0x1f): Caveat => ({ type: 'Organization', body: { id, mask } })
const appsOnly = (...ids: number[]): Caveat => ({
  type: 'Apps',
  body: { apps: new Map(ids.map((id) => [id, 0x1f])) },
})
const wherever = (caveat: Caveat): Caveat => ({
  type: 'IfPresent',
  body: { ifs: [caveat], else: 0x1f },
})
const only = (id: string) => new Map([[id, 0x1f]])
const HERON = 1001
const TERN = 1002

/** Of deploy and ssh tokens. */
const forApp: Caveat = {
  type: 'IfPresent',
  body: {
    ifs: [
      appsOnly(HERON),
      {
        type: 'FeatureSet',
        body: {
          features: new Map([
            ['builder', 0x1f],
            ['wg', 0x1f],
          ]),
        },
      },
    ],
    else: Action.none,
  },
}
const apps = (...rights: [number, string][]): Caveat => ({
  type: 'Apps',
  body: { apps: new Map(rights.map(([id, letters]) => [id, parseActions(letters)])) },
})
const twoTokens = (first: string, second: string) => `${first},${second.replace('FlyV1 ', '')}`

type Expected = 'allow' | 401 | 403

interface TokenKind {
  readonly name: string
  readonly header: (ids: Ids) => string | null
  /** What becomes of a call that needs this. */
  readonly expect: (call: Needed) => Expected
  /** What the text of a 401 says beside the usual. */
  readonly error?: string
}

const always =
  (expected: Expected): TokenKind['expect'] =>
  () =>
    expected
const onCalls =
  (isAllowed: (call: Needed) => boolean): TokenKind['expect'] =>
  (call) =>
    call.on !== 'self' && (call.on === 'token' || isAllowed(call)) ? 'allow' : 403

const ofApp: readonly string[] = ['app', 'machine', 'newMachine', 'volume', 'newVolume']

const kinds: readonly TokenKind[] = [
  { name: 'none', header: () => null, expect: always(401) },
  { name: 'no macaroon', header: () => 'Bearer nonsense', expect: always(401) },
  { name: 'organisation', header: () => newToken([org(101)]), expect: onCalls(() => true) },
  {
    name: 'app',
    header: () => newToken([org(101), appsOnly(HERON)]),
    expect: onCalls(({ on }) => ofApp.includes(on)),
  },
  {
    name: 'app, wherever one is named',
    header: () =>
      newToken([org(101), { type: 'IfPresent', body: { ifs: [appsOnly(HERON)], else: 0x1f } }]),
    expect: onCalls(({ on, isMint }) => on !== 'newApp' && !isMint),
  },
  {
    name: 'machine, wherever one is named',
    header: ({ machine }) =>
      newToken([org(101), wherever({ type: 'Machines', body: { machines: only(machine) } })]),
    expect: onCalls(({ on, isMint }) => on !== 'newMachine' && !isMint),
  },
  {
    name: 'volume, wherever one is named',
    header: ({ volume }) =>
      newToken([org(101), wherever({ type: 'Volumes', body: { volumes: only(volume) } })]),
    expect: onCalls(({ on, isMint }) => on !== 'newVolume' && !isMint),
  },
  {
    name: 'secrets, wherever a feature is named',
    header: () =>
      newToken([
        org(101),
        wherever({ type: 'AppFeatureSet', body: { features: only('secrets') } }),
        wherever({ type: 'MachineFeatureSet', body: { features: only('metadata') } }),
      ]),
    expect: onCalls(({ isMint }) => !isMint),
  },
  {
    name: 'other features, wherever one is named',
    header: () =>
      newToken([
        org(101),
        wherever({ type: 'AppFeatureSet', body: { features: only('images') } }),
        wherever({ type: 'MachineFeatureSet', body: { features: only('oidc') } }),
      ]),
    expect: onCalls(({ feature, isMint }) => feature === undefined && !isMint),
  },
  ...['r', 'w', 'c', 'd', 'C'].map((letter) => ({
    name: `nothing but ${letter}`,
    header: () => newToken([org(101, parseActions(letter))]),
    expect: onCalls(({ letters }) => letters === letter),
  })),
  {
    name: 'deploy, as accounts make them',
    header: () => newToken([org(101), forApp]),
    expect: onCalls(
      ({ on, isMint, isWireGuard }) => (ofApp.includes(on) && !isMint) || isWireGuard,
    ),
  },
  {
    name: 'ssh, as accounts make them',
    header: () =>
      twoTokens(
        newToken([org(101), forApp, { type: 'Action', body: Action.read }]),
        newToken([org(101), forApp, { type: 'Mutations', body: { mutations: MUTATIONS } }]),
      ),
    expect: onCalls(
      ({ on, isRead, isWireGuard, isMutation }) =>
        (isRead || isMutation) && (ofApp.includes(on) || isWireGuard),
    ),
  },
  {
    name: 'a mutation that no call has',
    header: () => newToken([org(101), { type: 'Mutations', body: { mutations: ['deleteApp'] } }]),
    expect: onCalls(() => false),
  },
  { name: 'any organisation', header: () => newToken([org(0)]), expect: onCalls(() => true) },
  {
    name: 'every app, to read and write',
    header: () => newToken([org(101), apps([0, 'rw'])]),
    expect: onCalls(({ on, letters }) => ofApp.includes(on) && 'rw'.includes(letters)),
  },
  {
    name: 'every app, to create',
    header: () => newToken([org(101), apps([0, 'c'])]),
    expect: onCalls(
      ({ on, letters }) => letters === 'c' && (ofApp.includes(on) || on === 'newApp'),
    ),
  },
  {
    name: 'every app beside one',
    header: () => newToken([org(101), apps([0, 'r'], [HERON, 'rwcdC'])]),
    expect: onCalls(() => false),
  },
  { name: 'no app', header: () => newToken([org(101), apps()]), expect: onCalls(() => false) },
  {
    name: 'member',
    header: () => newToken([org(101), { type: 'IsMember', body: {} }]),
    expect: onCalls(() => true),
  },
  {
    name: 'billing manager',
    header: () => newToken([org(101), { type: 'AllowedRoles', body: 2 }]),
    expect: onCalls(() => false),
  },
  {
    name: 'no command',
    header: () => newToken([org(101), { type: 'Commands', body: [] }]),
    expect: onCalls(() => false),
  },
  {
    name: 'any command, and nothing else',
    header: () => newToken([org(101), { type: 'Commands', body: [{ args: [], isExact: false }] }]),
    expect: onCalls(({ isCommand }) => isCommand),
  },
  {
    name: 'of a machine, from elsewhere',
    header: ({ machine }) =>
      newToken([org(101), { type: 'FromMachineSource', body: { id: machine } }]),
    expect: onCalls(() => false),
  },
  {
    name: 'from elsewhere by a condition that nobody can meet',
    header: ({ machine }) =>
      newToken([org(101), wherever({ type: 'FromMachineSource', body: { id: machine } })]),
    expect: onCalls(() => false),
  },
  {
    name: 'of a source that is not known',
    header: () =>
      newToken([
        org(101),
        { type: 'FlySrc', body: { organization: 'birds', app: '', instance: '' } },
      ]),
    expect: onCalls(() => false),
  },
  {
    name: 'clusters and storage alone',
    header: () =>
      newToken([
        org(101),
        { type: 'Clusters', body: { clusters: only('c') } },
        { type: 'StorageObjects', body: { storageObjects: only('a') } },
      ]),
    expect: onCalls(() => false),
  },
  {
    name: 'another app',
    header: () => newToken([org(101), appsOnly(TERN)]),
    expect: onCalls(() => false),
  },
  {
    name: 'machine',
    header: ({ machine }) =>
      newToken([
        org(101),
        appsOnly(HERON),
        { type: 'Machines', body: { machines: new Map([[machine, 0x1f]]) } },
      ]),
    expect: onCalls(({ on }) => on === 'machine'),
  },
  {
    name: 'another machine',
    header: () =>
      newToken([
        org(101),
        { type: 'Machines', body: { machines: new Map([['00000000000000', 0x1f]]) } },
      ]),
    expect: onCalls(() => false),
  },
  {
    name: 'read-only',
    header: () => newToken([org(101, Action.read)]),
    expect: onCalls(({ isRead }) => isRead),
  },
  {
    name: 'attenuated to reading',
    header: () => newToken([org(101), ...caveatsFromJson('[{"type":"Action","body":"r"}]')]),
    expect: onCalls(({ isRead }) => isRead),
  },
  {
    name: 'exec-only',
    header: () =>
      newToken([
        org(101),
        appsOnly(HERON),
        {
          type: 'IfPresent',
          body: {
            ifs: [{ type: 'Commands', body: [{ args: ['uname'], isExact: false }] }],
            else: Action.read,
          },
        },
      ]),
    expect: onCalls(({ on, isRead, isCommand }) => ofApp.includes(on) && (isRead || isCommand)),
  },
  {
    name: 'exec of something else',
    header: () =>
      newToken([org(101), { type: 'Commands', body: [{ args: ['reboot'], isExact: true }] }]),
    expect: onCalls(() => false),
  },
  { name: 'expired', header: () => newToken([org(101), until(1)]), expect: always(401) },
  { name: 'not valid yet', header: () => newToken([org(101), from(4e9)]), expect: always(401) },
  { name: 'wrong organisation', header: () => newToken([org(202)]), expect: onCalls(() => false) },
  {
    name: 'attenuated to another organisation',
    header: () => newToken([org(101), org(202)]),
    expect: always(403),
  },
  { name: 'bound to no organisation', header: () => newToken([]), expect: always(403) },
  {
    name: 'signed by somebody else',
    header: () => newToken([org(101)], Buffer.alloc(32, 1)),
    expect: always(401),
  },
  { name: 'tampered', header: () => tamper(newToken([org(101)])), expect: always(401) },
  { name: 'discharge missing', header: () => undischargedToken([org(101)]), expect: always(401) },
  {
    name: 'discharged',
    header: () => dischargedToken([org(101)]),
    expect: onCalls(() => true),
  },
  {
    name: 'discharged to read',
    header: () => dischargedToken([org(101)], [{ type: 'Action', body: Action.read }]),
    expect: onCalls(({ isRead }) => isRead),
  },
  {
    name: 'discharge expired',
    header: () => dischargedToken([org(101)], [until(1)]),
    expect: always(401),
  },
  {
    name: 'discharge of another token',
    header: () => {
      const [, discharge = ''] = dischargedToken([org(101)]).split(',')
      return `${undischargedToken([org(101)])},${discharge}`
    },
    expect: always(401),
  },
  {
    name: 'cut off',
    header: () => newToken([org(101)]).slice(0, -12),
    expect: always(401),
    error: 'damaged',
  },
  {
    name: 'with bytes after it, under an old prefix, beside a user token',
    header: () => {
      const bytes = Buffer.from(newToken([org(101)]).slice('FlyV1 fm2_'.length), 'base64')
      const text = Buffer.concat([bytes, Buffer.of(1, 2, 3)]).toString('base64')
      return ` bearer FlyV1 fo1_x, fm1r_${text}`
    },
    expect: onCalls(() => true),
  },
]

function until(notAfter: number): Caveat {
  return { type: 'ValidityWindow', body: { notBefore: 0, notAfter } }
}

function from(notBefore: number): Caveat {
  return { type: 'ValidityWindow', body: { notBefore, notAfter: 5e9 } }
}

/** One bit of the signature, the last bytes of a token. */
function tamper(header: string): string {
  const bytes = Buffer.from(header.slice('FlyV1 fm2_'.length), 'base64')
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
  return `FlyV1 fm2_${bytes.toString('base64')}`
}

function requestOf({ path, example }: Endpoint, ids: Ids) {
  const values: Record<string, string> = {
    app: 'heron',
    org: 'birds',
    key: 'role',
    name: 'SECRET',
    ip: '192.0.2.1',
    policy: 'np_1',
    release: 'latest',
    label: 'app',
    hostname: 'www.example.com',
    token: '03e85a60-6543-5d42-997f-40607fe6e717',
    ...ids,
  }
  const filled = path.replace(/^\/v1/, '').replaceAll(/:(\w+)/g, (_all, name: string) => {
    const value = values[name]
    assert(value !== undefined, `the matrix knows no value for :${name}`)
    return value
  })
  const query = new URLSearchParams(example?.query).toString()
  return { path: query === '' ? filled : `${filled}?${query}`, body: example?.body }
}

async function newIds(world: FlapsWorld): Promise<Ids> {
  const machine = await world.newMachine()
  const body = { name: 'data', require_unique_zone: false }
  const volume = await world.call('POST', '/apps/heron/volumes', { body })
  return { machine: machine.id, volume: volume.body.id }
}

for (const endpoint of allEndpoints) {
  if (endpoint.access.on === 'nothing') continue
  test(`${endpoint.id} (${endpoint.method} ${endpoint.path}) asks every kind of token`, async () => {
    const call = neededOf(endpoint)
    await using world = await FlapsWorld.open()
    let ids: Ids | undefined
    for (const kind of kinds) {
      ids ??= await newIds(world)
      const { path, body } = requestOf(endpoint, ids)
      const token = kind.header(ids)
      const reply = await world.call(endpoint.method, path, { body, token })
      const wanted = kind.expect(call)
      // Here all tokens are of another organisation than the operators'.
      const expected =
        call.on === 'operators' && wanted === 'allow' && kind.name !== 'any organisation'
          ? 403
          : wanted
      const seen = reply.status === 401 || reply.status === 403 ? reply.status : 'allow'
      assert.equal(seen, expected, `${kind.name}: ${reply.status} ${JSON.stringify(reply.body)}`)
      if (expected === 'allow') {
        if (!call.isRead) ids = undefined // it may have changed or destroyed them
        world.restoreApps()
        continue
      }
      const error = expected === 401 ? 'Authenticate: token validation error' : 'unauthorized'
      if (kind.error === undefined) assert.deepEqual(reply.body, { error })
      else assert.match(reply.body.error, new RegExp(`^${error}: .*${kind.error}`))
    }
  })
}

test('calls that ask nobody are these, and no others', () => {
  const open = allEndpoints.filter(({ access }) => access.on === 'nothing').map(({ id }) => id)
  assert.deepEqual(open, ['Tokens_authenticate', 'Tokens_authorize'])
})

test('every call is in the OpenAPI document with what it needs, and the document has no others', async () => {
  await using world = await FlapsWorld.open()
  const { body } = await world.call('GET', '/openapi.json', { token: null })
  const documented = Object.entries(
    body.paths as Record<string, Record<string, { operationId: string; description: string }>>,
  ).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      assert.match(operation.description, /^Needs /)
      return `${operation.operationId} ${method.toUpperCase()} ${path}`
    }),
  )
  const declared = allEndpoints.map(
    ({ id, method, path }) => `${id} ${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`,
  )
  assert.deepEqual(documented.sort(), declared.sort())
  assert.equal(new Set(allEndpoints.map(({ id }) => id)).size, allEndpoints.length)
})

test('a call without a rule stops the server from being built', async () => {
  const { access: _access, ...without } = allEndpoints[0] as Endpoint
  const broken = without as unknown as Endpoint
  await assert.rejects(FlapsWorld.open({ endpoints: [broken] }), /says nothing of who may call it/)
})

test('who has no token makes the server read no body', async () => {
  await using world = await FlapsWorld.open()
  const body = 'x'.repeat(10_000_000)
  const reply = await world.call('POST', '/apps/heron/machines', { body, token: null })
  assert.equal(reply.status, 401)
})

test('rights of two tokens are never added up', async () => {
  await using world = await FlapsWorld.open()
  const reading = newToken([org(101, Action.read)])
  const elsewhere = newToken([org(202)]).replace('FlyV1 ', '')
  const token = `${reading},${elsewhere}`
  const reply = await world.call('POST', '/apps/heron/machines', {
    body: { config: { image: 'nginx' } },
    token,
  })
  assert.equal(reply.status, 403)
})

test('a lease shows its nonce only to those who may write', async () => {
  await using world = await FlapsWorld.open()
  const { id, nonce } = await world.newMachine({ lease_ttl: 60 })
  const path = `/apps/heron/machines/${id}/lease`
  assert.equal((await world.call('GET', path)).body.data.nonce, nonce)
  const reader = await world.call('GET', path, { token: newToken([org(101, Action.read)]) })
  assert.equal(reader.status, 200)
  assert.equal(reader.body.data.nonce, undefined)
})
