import assert from 'node:assert/strict'
import test from 'node:test'
import { type Random, seededRandom } from '#base'
import { fc } from '#property'
import { hostField, meshPrefix, parseMeshPrefix } from '../six-pn-address.ts'
import { type HostRow, type MeshHost, readRows } from './host-rows.ts'
import { changesOf, MeshMemory, type MeshPlan, planMesh, RETIRE_MS } from './mesh-plan.ts'
import { type MeshDeviceState, type MeshPeerState, parseDump } from './wireguard-dump.ts'

const STEP_MS = 1_000
const random = seededRandom(3)
const newKey = (from: Random = random) => Buffer.from(from.bytes(32)).toString('base64')

/** Rows are the same for most hosts of a step: read once. */
const readBefore = new WeakMap<readonly HostRow[], readonly MeshHost[]>()
function hostsOf(rows: readonly HostRow[]): readonly MeshHost[] {
  const hosts = readBefore.get(rows) ?? readRows(rows).hosts
  readBefore.set(rows, hosts)
  return hosts
}

/** A device as WireGuard would have it: peers, and when each shook hands. */
interface Device {
  readonly publicKey: string
  readonly peers: Map<string, MeshPeerState>
}

/** A host with a model of its WireGuard devices; what it would tell the programs is in `routes`. */
class SimHost {
  readonly id: string
  readonly host: number
  /** On the mesh, by generation. */
  readonly prefixes: readonly string[]
  readonly devices = new Map<number, Device>()
  readonly memory = new MeshMemory()
  known = new Map<string, string>()
  current = 0
  /** What it knows of others, which may be old. */
  rows: readonly HostRow[] = []
  routes = new Map<number, MeshPlan['routes'][number]>()
  /** Keys of peers that were named in changes, since somebody last looked. */
  touched: string[] = []

  constructor(number: number) {
    this.id = `host-${String(number).padStart(2, '0')}`
    this.host = hostField(number)
    this.prefixes = [meshPrefix(this.host, 0), meshPrefix(this.host, 1)]
    this.devices.set(0, { publicKey: newKey(), peers: new Map() })
  }

  get row(): HostRow {
    return {
      id: this.id,
      six_pn_prefix: this.prefixes[this.current] ?? '',
      mesh_public_key: this.devices.get(this.current)?.publicKey ?? '',
      mesh_endpoint: `192.0.2.${this.host & 0xff}:${51_820 + this.current}`,
    }
  }

  get isRotating(): boolean {
    return this.devices.size > 1
  }

  rotate(): void {
    this.current = 1 - this.current
    this.devices.set(this.current, { publicKey: newKey(), peers: new Map() })
  }

  step(nowMs: number): void {
    const devices = new Map(
      [...this.devices].map(([generation, device]) => [generation, stateOf(device)]),
    )
    const hosts = hostsOf(this.rows)
    const input = { hosts, ownId: this.id, current: this.current, devices, nowMs }
    const plan = planMesh(input, this.memory)
    if (plan === undefined) return
    this.routes = new Map(plan.routes.map((route) => [route.host, route]))
    for (const [generation, device] of this.devices) {
      const state = devices.get(generation) as MeshDeviceState
      this.#perform(
        device,
        changesOf(state, plan.peers, {
          known: this.known,
          nowMs,
          stalled: plan.stalled.get(generation),
        }),
      )
    }
    this.known = new Map(
      plan.peers.flatMap(({ publicKey, endpoint }) => (endpoint ? [[publicKey, endpoint]] : [])),
    )
    if (plan.isOldDeviceDone) this.devices.delete(1 - this.current)
  }

  /** What `wg set` does. */
  #perform({ peers }: Device, words: readonly string[]): void {
    let key = ''
    for (let at = 0; at < words.length; at += 1) {
      const [word, value = ''] = [words[at], words[at + 1]]
      const old = peers.get(key)
      if (word === 'remove') peers.delete(key)
      else if (word === 'peer') {
        key = value
        this.touched.push(key)
        peers.set(key, peers.get(key) ?? NEW_PEER(key))
        at += 1
      } else {
        assert(old !== undefined, 'words follow a peer')
        if (word === 'allowed-ips') {
          for (const [other, peer] of peers) {
            if (peer.allowedIps[0] === value) peers.set(other, { ...peer, allowedIps: [] })
          }
          peers.set(key, { ...old, allowedIps: [value] })
        } else if (word === 'endpoint') peers.set(key, { ...old, endpoint: value })
        else peers.set(key, { ...old, keepaliveS: Number(value) })
        at += 1
      }
    }
  }
}

const NEW_PEER = (publicKey: string): MeshPeerState => ({
  publicKey,
  allowedIps: [],
  handshakeMs: 0,
  receivedBytes: 0,
  sentBytes: 0,
  keepaliveS: 0,
})

const stateOf = ({ publicKey, peers }: Device): MeshDeviceState => ({
  publicKey,
  listenPort: 1,
  peers: [...peers.values()],
})

/** Every two devices that know each other's key shake hands, as keepalives make them. */
function shakeHands(hosts: readonly SimHost[], nowMs: number): void {
  const owners = new Map(
    hosts.flatMap((host) =>
      [...host.devices.values()].map((device) => [device.publicKey, device] as const),
    ),
  )
  for (const [ownKey, device] of owners) {
    for (const [key, peer] of device.peers) {
      const other = owners.get(key)
      if (other?.peers.has(ownKey) !== true || peer.handshakeMs > 0) continue
      device.peers.set(key, { ...peer, handshakeMs: nowMs })
    }
  }
}

/** Why a packet from one host would not be taken by another, or undefined when it would be. */
function lostBecause(from: SimHost, to: SimHost): string | undefined {
  const route = from.routes.get(to.host)
  if (route === undefined) return 'no route'
  const device = from.devices.get(route.localGeneration)
  if (device === undefined) return 'no such device'
  // The devices of a host have its generations: only a peer with that very key has the prefix.
  const receiver = to.devices.get(route.remoteGeneration)
  if (receiver === undefined) return 'its key is gone'
  const prefix = to.prefixes[route.remoteGeneration]
  const peer = device.peers.get(receiver.publicKey)
  if (peer?.allowedIps[0] !== prefix) return 'no peer for the address'
  const source = receiver.peers.get(device.publicKey)?.allowedIps[0]
  const expected = from.prefixes[route.localGeneration]
  return source === expected ? undefined : `its source belongs to ${source}`
}

test('50 hosts join, leave and change keys: established pairs lose nothing, unrelated peers are not touched', () => {
  for (const seed of [1, 2]) {
    const dice = seededRandom(seed)
    let hosts = Array.from({ length: 50 }, (_, number) => new SimHost(number + 1))
    const established = new Set<string>()
    let nowMs = 1_000_000
    let nextNumber = hosts.length + 1
    for (let step = 0; step < 170; step += 1) {
      nowMs += STEP_MS * (step % 10 === 9 ? RETIRE_MS / STEP_MS / 4 : 1)
      if (step > 20 && step < 110 && step % 4 === 0) {
        const one = hosts[dice.int(hosts.length)] as SimHost
        const kind = dice.int(6)
        if (kind === 0) {
          hosts.push(new SimHost(nextNumber))
          nextNumber += 1
        } else if (kind === 1) hosts = hosts.filter((host) => host !== one)
        else if (!one.isRotating) one.rotate()
      }
      const truth = hosts.map(({ row }) => row)
      const present = new Set(truth.map((row) => row.mesh_public_key))
      for (const host of hosts) {
        if (dice.int(3) > 0) host.rows = truth // rows come late at some
        const keysBefore = new Map(
          [...host.devices].flatMap(([generation, { peers }]) =>
            [...peers].map(([key, peer]) => [`${generation} ${key}`, peer] as const),
          ),
        )
        host.step(nowMs)
        for (const [generation, { peers }] of host.devices) {
          for (const [key, peer] of peers) {
            const before = keysBefore.get(`${generation} ${key}`)
            if (before !== undefined && before.handshakeMs > 0)
              assert.equal(peer.handshakeMs, before.handshakeMs)
          }
        }
        for (const key of host.touched) {
          const isNew = [0, 1].some((generation) => {
            const before = keysBefore.get(`${generation} ${key}`)
            return before === undefined || before.handshakeMs === 0
          })
          assert(isNew || !present.has(key), 'a peer was touched that nothing happened to')
        }
        host.touched = []
      }
      shakeHands(hosts, nowMs)
      for (const from of hosts) {
        for (const to of hosts) {
          if (from === to) continue
          const pair = `${from.id} ${to.id}`
          const why = lostBecause(from, to)
          if (why === undefined) established.add(pair)
          else if (established.has(pair)) assert.fail(`seed ${seed}, step ${step}, ${pair}: ${why}`)
        }
      }
    }
    assert(
      hosts.every(({ isRotating }) => !isRotating),
      'every old key is gone in the end',
    )
    assert.equal(
      hosts.filter((from) =>
        hosts.every((to) => from === to || lostBecause(from, to) === undefined),
      ).length,
      hosts.length,
      'everyone reaches everyone',
    )
    for (const { devices } of hosts) {
      for (const { peers } of devices.values()) assert.equal(peers.size, hosts.length - 1)
    }
  }
})

const row = (changes: Partial<HostRow> = {}): HostRow => ({
  id: 'a',
  six_pn_prefix: 'fdaa:a7b:1::/48',
  mesh_public_key: newKey(seededRandom(1)),
  mesh_endpoint: '192.0.2.1:51820',
  ...changes,
})

test('a row that makes no sense is left out and named, and the others are joined', () => {
  const wrong: Partial<HostRow>[] = [
    { six_pn_prefix: 'fdaa:1:2::/48' },
    { six_pn_prefix: '10.0.0.0/8' },
    { mesh_public_key: 'AAAA' },
    { mesh_public_key: `${row().mesh_public_key} ` },
    { mesh_endpoint: 'example.com:51820' },
    { mesh_endpoint: '192.0.2.1' },
    { mesh_endpoint: '192.0.2.1:99999' },
    { mesh_endpoint: '--help:1' },
    { six_pn_prefix: 'fdaa:a7b:2::/48' }, // the key of another
    { mesh_public_key: newKey() }, // the prefix of another
  ]
  const rows = [row(), ...wrong.map((changes, index) => row({ id: `b${index}`, ...changes }))]
  const { hosts, problems } = readRows([
    ...rows,
    row({ id: 'new', six_pn_prefix: '', mesh_public_key: '' }),
  ])
  assert.deepEqual(
    hosts.map(({ id }) => id),
    ['a'],
  )
  assert.deepEqual(
    problems.map(({ values }) => values['host']),
    wrong.map((_, index) => `b${index}`),
  )
  assert(problems.every(({ code }) => code === 'net6.peer_bad'))
})

test('rows without this host change nothing', () => {
  const { hosts } = readRows([row()])
  const input = { hosts, ownId: 'other', current: 0, devices: new Map(), nowMs: 0 }
  assert.equal(planMesh(input, new MeshMemory()), undefined)
})

test('an endpoint that a peer moved to is left while it is heard there, and follows its row', () => {
  const wanted = [{ publicKey: 'k', allowedIp: 'fdaa:a7b:1::/48', endpoint: '192.0.2.1:1' }]
  const peer = {
    ...NEW_PEER('k'),
    endpoint: '192.0.2.9:9',
    allowedIps: ['fdaa:a7b:1::/48'],
    keepaliveS: 25,
  }
  const device = (handshakeMs: number) => ({
    publicKey: 'd',
    listenPort: 1,
    peers: [{ ...peer, handshakeMs }],
  })
  const same = new Map([['k', '192.0.2.1:1']])
  assert.deepEqual(changesOf(device(1_000_000), wanted, { known: same, nowMs: 1_001_000 }), [])
  const follow = ['peer', 'k', 'endpoint', '192.0.2.1:1']
  assert.deepEqual(changesOf(device(1_000_000), wanted, { known: same, nowMs: 2_000_000 }), follow)
  assert.deepEqual(
    changesOf(device(1_000_000), wanted, {
      known: new Map([['k', '192.0.2.7:7']]),
      nowMs: 1_001_000,
    }),
    follow,
  )
})

test('changes bring any device to any plan, and then there are none', () => {
  const peers = fc.uniqueArray(
    fc.record({ number: fc.integer({ min: 1, max: 6 }), key: fc.constantFrom('a', 'b', 'c') }),
    {
      selector: ({ key }) => key,
    },
  )
  fc.assert(
    fc.property(peers, (chosen) => {
      const wanted = chosen.map(({ number, key }) => ({
        publicKey: key,
        allowedIp: meshPrefix(hostField(number), 0),
      }))
      const unique = new Map(wanted.map((one) => [one.allowedIp, one]))
      const first = changesOf({ publicKey: 'd', listenPort: 1, peers: [] }, [...unique.values()], {
        known: new Map(),
        nowMs: 0,
      })
      assert.equal(first.filter((word) => word === 'peer').length, unique.size)
      const made = [...unique.values()].map(({ publicKey, allowedIp }) => ({
        ...NEW_PEER(publicKey),
        allowedIps: [allowedIp],
        keepaliveS: 25,
      }))
      assert.deepEqual(
        changesOf({ publicKey: 'd', listenPort: 1, peers: made }, [...unique.values()], {
          known: new Map(),
          nowMs: 0,
        }),
        [],
      )
      for (const { allowedIps } of made)
        assert.equal(parseMeshPrefix(allowedIps[0] ?? '').generation, 0)
    }),
  )
})

test('a new peer that shakes no hands is made anew some times, at one of both hosts, and then left', () => {
  const { hosts } = readRows([
    row(),
    row({ id: 'own', six_pn_prefix: 'fdaa:a7b:2::/48', mesh_public_key: newKey() }),
  ])
  const LESSER = ''
  const GREATER = '~'
  /** What each look does, a second apart: `x` makes the peer anew, `.` does not. */
  const looks = (ownKey: string, shakesAt = Number.POSITIVE_INFINITY) => {
    const memory = new MeshMemory()
    const own = { publicKey: ownKey, listenPort: 1 }
    return Array.from({ length: 30 }, (_, look) => {
      const handshakeMs = look >= shakesAt ? look : 0
      const peers = look === 0 ? [] : [{ ...NEW_PEER(row().mesh_public_key), handshakeMs }]
      const devices = new Map([[0, { ...own, peers }]])
      const input = { hosts, ownId: 'own', current: 0, devices, nowMs: look * 1_000 }
      return planMesh(input, memory)?.stalled.has(0) ? 'x' : '.'
    }).join('')
  }
  assert.equal(looks(LESSER), '..x.x.x.x.'.padEnd(30, '.'))
  assert.equal(looks(LESSER, 2), '.'.repeat(30))
  assert.equal(looks(GREATER), '.'.repeat(30))
})

test('a peer that is made anew goes and comes back with all that it is to have', () => {
  const wanted = [{ publicKey: 'k', allowedIp: 'fdaa:a7b:1::/48', endpoint: '192.0.2.1:1' }]
  const peer = { ...NEW_PEER('k'), endpoint: '192.0.2.1:1', allowedIps: ['fdaa:a7b:1::/48'] }
  const device = { publicKey: 'd', listenPort: 1, peers: [{ ...peer, keepaliveS: 25 }] }
  const context = { known: new Map([['k', '192.0.2.1:1']]), nowMs: 1 }
  assert.deepEqual(changesOf(device, wanted, context), [])
  assert.deepEqual(changesOf(device, wanted, { ...context, stalled: ['k'] }), [
    ...['peer', 'k', 'remove'],
    ...['peer', 'k', 'endpoint', '192.0.2.1:1', 'allowed-ips', 'fdaa:a7b:1::/48'],
    ...['persistent-keepalive', '25'],
  ])
})

test('a dump of wg is read as it is written', () => {
  const text =
    'PRIV\tPUB\t51820\toff\nP1\t(none)\t192.0.2.1:51820\tfdaa:a7b:2::/48\t1700000000\t12\t34\t25\nP2\t(none)\t(none)\t(none)\t0\t0\t0\toff\n'
  assert.deepEqual(parseDump(text), {
    publicKey: 'PUB',
    listenPort: 51820,
    peers: [
      {
        publicKey: 'P1',
        endpoint: '192.0.2.1:51820',
        allowedIps: ['fdaa:a7b:2::/48'],
        handshakeMs: 1_700_000_000_000,
        receivedBytes: 12,
        sentBytes: 34,
        keepaliveS: 25,
      },
      { ...NEW_PEER('P2') },
    ],
  })
  assert.throws(() => parseDump(''), { code: 'net6.tool_failed' })
})
