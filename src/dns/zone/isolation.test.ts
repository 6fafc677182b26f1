import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { Directory } from '../directory/directory.ts'
import type { RowChange } from '../directory/rows.ts'
import { ask, service } from '../fixture/world.ts'
import { TYPE } from '../wire/constants.ts'

/**
 * Three networks of two organisations: acme has two of them. Each name, id and metadata value of a row tells the
 * network that it is of, and so does each address, so that an answer can be judged without the directory's help.
 */
const NETWORKS = [
  { tag: 'one', orgId: 'acme', networkId: 0x00020001, prefix: 'fdaa:2:1:' },
  { tag: 'two', orgId: 'acme', networkId: 0x00020002, prefix: 'fdaa:2:2:' },
  { tag: 'six', orgId: 'evil', networkId: 0x00020006, prefix: 'fdaa:2:6:' },
] as const
type Network = (typeof NETWORKS)[number]

const REGIONS = ['ams', 'nrt']
const network = fc.constantFrom(...NETWORKS)
const index = fc.nat(2)

/** What a broken or hostile host writes instead of what belongs there. */
interface Lie {
  readonly app?: Network
  readonly network?: Network
  readonly ip?: Network
  readonly org?: Network
}

const machineDraw = fc.record({
  home: network,
  app: index,
  id: fc.nat(5),
  state: fc.constantFrom('started', 'started', 'stopped', 'destroyed'),
  region: fc.constantFrom(...REGIONS),
  lie: fc.oneof(
    { weight: 2, arbitrary: fc.constant<Lie>({}) },
    {
      weight: 1,
      arbitrary: fc.record(
        { app: network, network, ip: network, org: network },
        { requiredKeys: [] },
      ),
    },
  ),
})

const world = fc.record({
  apps: fc.array(fc.record({ home: network, at: index }), { minLength: 4, maxLength: 12 }),
  machines: fc.array(machineDraw, { minLength: 4, maxLength: 16 }),
  peers: fc.array(fc.record({ home: network, at: index, ip: network }), { maxLength: 4 }),
  ips: fc.array(fc.record({ app: network, at: index, given: network, ip: network }), {
    maxLength: 4,
  }),
})
type World = typeof world extends fc.Arbitrary<infer Drawn> ? Drawn : never

const appId = ({ tag }: Network, at: number) => `app-${tag}-${at}`
/** The same names in all networks: names alone must not lead across. */
const appName = (at: number) => `web${at}`
const machineIp = ({ prefix }: Network, id: number) => `${prefix}a7b:1:0:${id + 16}:2`

function* changes({ apps, machines, peers, ips }: World): Generator<RowChange> {
  for (const { home, at } of apps) {
    const id = appId(home, at)
    const { orgId, networkId } = home
    const named = { id, name: at === 2 ? `only-${home.tag}` : appName(at), orgId, networkId }
    yield { table: 'apps', key: id, row: named }
  }
  for (const { home, app, id, state, region, lie } of machines) {
    const key = `m${(lie.ip ?? home).tag}${id}` // a row that lies throughout is the other network's
    const row = {
      id: key,
      appId: appId(lie.app ?? home, app),
      orgId: (lie.org ?? home).orgId,
      networkId: (lie.network ?? home).networkId,
      hostId: 'h',
      region,
      state,
      processGroup: 'worker',
      privateIp: machineIp(lie.ip ?? home, id),
      metadata: { role: 'leader' },
      isRegistered: true,
      isCordoned: false,
    }
    yield { table: 'machines', key, row }
    const served = service(key, { internalPort: 8000 + id })
    yield { table: 'services', key, row: served }
  }
  for (const { home, at, ip } of peers) {
    const key = `peer-${home.tag}-${at}`
    const { orgId, networkId } = home
    const row = { publicKey: key, orgId, networkId, name: key, peerIp: `${ip.prefix}a7b:2:0:a:2` }
    yield { table: 'wireguard_peers', key, row }
  }
  for (const { app, at, given, ip } of ips) {
    const address = `${ip.prefix}0:1::${at + 1}`
    const row = { address, appId: appId(app, at), kind: 'private_v6', networkId: given.networkId }
    yield { table: 'ips', key: `${address}/${row.appId}`, row }
  }
}

function* names(): Generator<[string, number]> {
  const ids = NETWORKS.flatMap(({ tag }) => Array.from({ length: 6 }, (_, id) => `m${tag}${id}`))
  const appNames = ['web0', 'web1', ...NETWORKS.map(({ tag }) => `only-${tag}`)]
  const forms = ['', 'global.', 'top9.nearest.of.', 'worker.process.', 'leader.role.kv._metadata.']
  for (const name of appNames) {
    const prefixes = [
      ...forms,
      ...REGIONS.map((region) => `${region}.`),
      ...ids.map((id) => `${id}.vm.`),
    ]
    for (const prefix of prefixes) {
      yield [`${prefix}${name}.internal`, TYPE.ANY]
      yield [`_http._tcp.${prefix}${name}.internal`, TYPE.ANY]
    }
    for (const list of ['vms', 'all.vms', 'regions', 'all.regions']) {
      yield [`${list}.${name}.internal`, TYPE.ANY]
    }
    yield [`${name}.flycast`, TYPE.ANY]
  }
  for (const name of ['_apps', '_instances', 'all._instances', '_peer', '_api']) {
    yield [`${name}.internal`, TYPE.ANY]
  }
  for (const { tag } of NETWORKS) yield [`peer-${tag}-0._peer.internal`, TYPE.ANY]
  for (const home of NETWORKS) {
    for (let id = 0; id < 6; id += 1) yield [reverseOf(machineIp(home, id)), TYPE.PTR]
  }
}

function reverseOf(address: string): string {
  const nibbles = address
    .split(':')
    .map((word) => word.padStart(4, '0'))
    .join('')
  return `${[...nibbles].reverse().join('.')}.ip6.arpa`
}

/** Throws when `text`, an answer to who asks from `home`, tells of another network. */
function judge(home: Network, name: string, text: string): void {
  for (const address of text.match(/fdaa:[0-9a-f:]+/g) ?? []) {
    assert.ok(address.startsWith(home.prefix), `${name} from ${home.tag}: ${text}`)
  }
  for (const other of NETWORKS) {
    if (other === home) continue
    const isSisterApp = name === '_apps.internal' && other.orgId === home.orgId
    assert.ok(isSisterApp || !text.includes(other.tag), `${name} from ${home.tag}: ${text}`)
  }
}

test('no answer, to any name, tells of another network than the one that asks, whatever hosts write', () => {
  const all = [...names()]
  let answered = 0
  fc.assert(
    fc.property(world, (drawn) => {
      const directory = new Directory()
      for (const change of changes(drawn)) directory.apply(change)
      for (const home of NETWORKS) {
        for (const [name, type] of all) {
          const answer = ask(directory, name, type, `${home.prefix}a7b:9:0:1:2`)
          if (answer === undefined || answer.data.length === 0) continue
          answered += 1
          judge(home, name, [...answer.data, ...(answer.additional ?? [])].join(' '))
        }
      }
    }),
    { numRuns: 150 },
  )
  assert.ok(answered > 1500, `only ${answered} answers were judged`)
})

test('the judge finds an answer that leaked', () => {
  const [one, two, six] = NETWORKS
  assert.throws(() => judge(one, 'web0.internal', machineIp(six, 0)))
  assert.throws(() => judge(one, 'web0.internal', machineIp(two, 0)))
  assert.throws(() => judge(one, '_instances.internal', 'instance=msix1,app=web0'))
  assert.throws(() => judge(six, '_apps.internal', 'only-one'))
  judge(one, '_apps.internal', 'only-one,only-two')
})
