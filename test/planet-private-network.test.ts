import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { newMachineId, seededRandom } from '#base'
import {
  type Drops,
  type HostRow,
  hostField,
  type MachineNetwork,
  type MachineNetworkSpec,
  openSystem,
  Programs,
  trialPackets as p,
  trialFrameSender,
  trialHostDaemon,
} from '#net6'
import type { World } from '#planet'
import { eventually, testPlanet } from './planet-world.ts'

const HOSTS = ['ams-1', 'iad-1', 'nrt-1'] as const
type HostName = (typeof HOSTS)[number]
const DEADLINE_MS = 60_000
const OWN_NETWORK = 7
const OTHER_NETWORK = 8
const random = seededRandom(77)

const NODE = `${process.execPath} -e`
const UDP_ECHO = `
  const socket = require("node:dgram").createSocket("udp6")
  socket.on("message", (bytes, { port, address }) => socket.send(bytes, port, address)).bind(9001)`
const UDP_ASK = `
  const [address, bytes] = process.argv.slice(1)
  const socket = require("node:dgram").createSocket("udp6")
  const end = () => process.exit()
  socket.on("message", ({ length }) => process.stdout.write(String(length), end))
  socket.send(Buffer.alloc(Number(bytes)), 9001, address)
  setTimeout(end, 2000)`

interface Machine extends MachineNetwork {
  readonly host: HostName
}

/** Hosts in three regions with the network's daemon, and machines on them. */
class Fleet {
  readonly #world: World
  readonly #shared: string
  readonly machines: Machine[] = []

  constructor(world: World, shared: string) {
    this.#world = world
    this.#shared = shared
  }

  static async start(t: TestContext, world: World): Promise<Fleet> {
    const shared = mkdtempSync(join(tmpdir(), 'godwit-planet-network-'))
    t.after(() => rmSync(shared, { recursive: true, force: true }))
    const fleet = new Fleet(world, shared)
    for (const host of HOSTS) {
      mkdirSync(join(shared, host))
      await fleet.startDaemon(host)
    }
    await fleet.tellRows()
    return fleet
  }

  startDaemon(host: HostName) {
    const command = trialHostDaemon({
      hostId: host,
      host: hostField(HOSTS.indexOf(host) + 1),
      publicAddress: this.#world.node(host).plan.ipv4,
      folder: join(this.#shared, host),
      shared: this.#shared,
    })
    return this.#world.start(host, 'net6', command)
  }

  /** What corrosion does: every host's row reaches every host. */
  async tellRows(): Promise<HostRow[]> {
    const rows: HostRow[] = []
    for (const host of HOSTS) {
      rows.push(await this.#hear<HostRow>(`${host}.columns.json`))
    }
    this.#tell('rows.json', rows)
    return rows
  }

  async make(host: HostName, networkIds: readonly number[]): Promise<void> {
    const specs = networkIds.map(
      (networkId): MachineNetworkSpec => ({
        id: newMachineId(random),
        networkId,
        kind: 'container',
      }),
    )
    this.#tell(`${host}.machines.json`, specs)
    for (const network of await this.#hear<MachineNetwork[]>(`${host}.networks.json`)) {
      const machine = { ...network, host }
      this.machines.push(machine)
    }
  }

  async rotate(host: HostName): Promise<void> {
    const before = await this.#hear<HostRow>(`${host}.columns.json`)
    writeFileSync(join(this.#shared, `${host}.rotate`), '')
    const look = () => this.#hear<HostRow>(`${host}.columns.json`)
    await eventually(
      'a new key',
      look,
      (row) => row.mesh_public_key !== before.mesh_public_key,
      DEADLINE_MS,
    )
    await this.tellRows()
  }

  /** Runs a script in a machine, as root of its network namespace. */
  inside({ host, guest }: Machine, script: string): Promise<string> {
    const enter = ['-ec', `exec nsenter --net=${guest.netnsPath} -- sh -ec "$1"`, 'sh', script]
    return this.#world.node(host).run('sh', enter)
  }

  async pings(from: Machine, to: string, options = ''): Promise<boolean> {
    const printed = await this.inside(from, `ping -c 1 -W 3 ${options} ${to} || true`)
    return printed.includes(' 1 received')
  }

  async reaches(from: Machine, to: Machine): Promise<void> {
    const what = `${from.host} reaches ${to.host}`
    await eventually(what, () => this.pings(from, to.privateIp), Boolean, DEADLINE_MS)
  }

  async drops(machine: Machine): Promise<Drops> {
    const node = this.#world.node(machine.host)
    const path = `/sys/class/net/${machine.hostDevice}/ifindex`
    const ifindex = Number(await node.run('cat', [path]))
    const { command, args } = node.enter({ command: '', args: [] })
    const enter = [command, ...args].filter((word) => word !== '')
    const programs = await Programs.open({ system: openSystem(enter) })
    return (await programs.counters()).get(ifindex)?.drops ?? {}
  }

  /** From now on, counts what a machine receives; the kernel of its own host (neighbours, groups) aside. */
  async listen(machine: Machine): Promise<void> {
    const node = this.#world.node(machine.host)
    const [link] = JSON.parse(
      await node.run('ip', ['-j', '-6', 'address', 'show', 'dev', machine.hostDevice]),
    ) as { addr_info: { local: string }[] }[]
    const own = ['::', ...(link?.addr_info ?? []).map(({ local }) => local)].join(', ')
    const table = `table netdev heard {
      chain in {
        type filter hook ingress device eth0 priority 0
        ip6 saddr { ${own} } meta l4proto icmpv6 accept
        arp operation request accept
        counter
      }
    }`
    await this.inside(machine, `nft -f - <<'TABLE'\n${table}\nTABLE`)
  }

  async heard(machine: Machine): Promise<number> {
    const { nftables } = JSON.parse(
      await this.inside(machine, 'nft -j list table netdev heard'),
    ) as {
      nftables: { rule?: { expr: { counter?: { packets: number } }[] } }[]
    }
    const counters = nftables.flatMap(({ rule }) => rule?.expr ?? []).map(({ counter }) => counter)
    const counter = counters.find((one) => one !== undefined)
    assert(counter !== undefined, 'the rule that counts is there')
    return counter.packets
  }

  async send(machine: Machine, frames: readonly Buffer[]): Promise<void> {
    const command = trialFrameSender(machine.guest.device, frames)
    await this.inside(machine, command.map((word) => `'${word}'`).join(' '))
  }

  /** Handshakes that a host's mesh has had, by peer. */
  async handshakes(host: HostName): Promise<Map<string, number>> {
    const printed = await this.#world.node(host).run('wg', ['show', 'all', 'latest-handshakes'])
    const lines = printed
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
    return new Map(lines.map(([, key = '', at]) => [key, Number(at)]))
  }

  #tell(name: string, value: unknown): void {
    const path = join(this.#shared, name)
    writeFileSync(`${path}.new`, JSON.stringify(value))
    renameSync(`${path}.new`, path)
  }

  async #hear<T>(name: string): Promise<T> {
    const path = join(this.#shared, name)
    await eventually(name, () => existsSync(path), Boolean, DEADLINE_MS)
    return JSON.parse(readFileSync(path, 'utf8')) as T
  }
}

test('the private network of a planet', async (t) => {
  const world = await testPlanet(t, 'private-network')
  const fleet = await Fleet.start(t, world)
  await fleet.make('ams-1', [OWN_NETWORK, OWN_NETWORK, OTHER_NETWORK])
  await fleet.make('iad-1', [OWN_NETWORK])
  await fleet.make('nrt-1', [OWN_NETWORK, OTHER_NETWORK])
  const [evil, near, victim, iad, nrt, farVictim] = fleet.machines as [
    Machine,
    Machine,
    Machine,
    Machine,
    Machine,
    Machine,
  ]

  await t.test(
    'machines of one network in three regions reach each other, whole packets and large ones',
    async () => {
      for (const [from, to] of [
        [near, iad],
        [iad, nrt],
        [nrt, near],
        [near, evil],
      ] as const) {
        await fleet.reaches(from, to)
        assert(
          await fleet.pings(from, to.privateIp, '-M do -s 1372'),
          'the largest that passes whole',
        )
        assert(await fleet.pings(from, to.privateIp, '-s 9000'), 'in fragments')
      }
    },
  )

  await t.test('they talk TCP and UDP', async () => {
    await fleet.inside(nrt, 'busybox nc -ll -p 9000 -e cat >/dev/null 2>&1 &')
    const ask = () =>
      fleet.inside(iad, `echo over tcp | busybox nc -w 5 ${nrt.privateIp} 9000 || true`)
    await eventually('an echo', ask, (answer) => answer === 'over tcp\n')
    await fleet.inside(nrt, `${NODE} '${UDP_ECHO}' >/dev/null 2>&1 &`)
    for (const bytes of [10, 1372, 6000]) {
      const echoed = () => fleet.inside(iad, `${NODE} '${UDP_ASK}' ${nrt.privateIp} ${bytes}`)
      await eventually('a datagram back', echoed, (text) => text === `${bytes}`)
    }
  })

  await t.test(
    'root in a machine gets nothing past its interface, and each attempt is counted',
    async () => {
      const link = { from: evil.guest.mac, to: '02:67:77:00:00:01' }
      const own = evil.privateIp
      const gateway = own.replace(/2$/, '1')
      const six = (to: string, part: p.Part, from = own, changes = {}) =>
        p.ethernet(link, p.ETHERNET.ipv6, p.ipv6({ from, to }, part, changes))
      const onMesh = victim.privateIp.replace(/^fdaa:0:8:(\w+:\w+)/, 'fdaa:$1:0:8')
      const attempts: readonly (readonly [reason: keyof Drops, frames: readonly Buffer[]])[] = [
        [
          'source_spoofed',
          [
            six(iad.privateIp, p.udp(9), near.privateIp),
            six(victim.privateIp, p.udp(9), farVictim.privateIp),
            six(near.privateIp, p.udp(9), 'fdaa::3'),
          ],
        ],
        [
          'mac_spoofed',
          [
            p.ethernet(
              { ...link, from: victim.guest.mac },
              p.ETHERNET.ipv6,
              p.ipv6({ from: victim.privateIp, to: farVictim.privateIp }, p.udp(9)),
            ),
          ],
        ],
        [
          'other_network',
          [
            six(victim.privateIp, p.udp(9)),
            six(farVictim.privateIp, p.tcp(22)),
            six(onMesh, p.udp(9)),
            six('fdaa:a7b:2::1', p.tcp(22)),
            six(victim.privateIp, p.fragment(0, false, p.udp(9))),
            six(victim.privateIp, p.extension(p.NEXT.routing, p.udp(9))),
          ],
        ],
        [
          'neighbour_spoofed',
          [
            six('ff02::1', p.neighbour(136, gateway, evil.guest.mac), own, { hopLimit: 255 }),
            six(near.privateIp, p.neighbour(136, gateway, evil.guest.mac), own, { hopLimit: 255 }),
          ],
        ],
        [
          'arp_spoofed',
          [
            p.ethernet(
              { ...link, to: 'ff:ff:ff:ff:ff:ff' },
              p.ETHERNET.arp,
              p.arp({
                operation: 2,
                senderMac: evil.guest.mac,
                senderIp: victim.privateIpv4,
                targetIp: evil.privateIpv4,
              }),
            ),
          ],
        ],
        [
          'router_advertisement',
          [
            six('ff02::1', p.icmp6(134, Buffer.alloc(12)), own, { hopLimit: 255 }),
            six(near.privateIp, p.icmp6(134, Buffer.alloc(12)), own, { hopLimit: 255 }),
            six(
              near.privateIp,
              p.extension(p.NEXT.destinationOptions, p.icmp6(134, Buffer.alloc(12))),
            ),
          ],
        ],
        [
          'host_service',
          [
            six('fdaa::3', p.tcp(22)),
            six(gateway, p.tcp(22)),
            six(world.node('ams-1').plan.ipv6, p.tcp(22)),
            p.ethernet(
              link,
              p.ETHERNET.ipv4,
              p.ipv4({ from: evil.privateIpv4, to: world.node('ams-1').plan.ipv4 }, p.tcp(22)),
            ),
          ],
        ],
        [
          'extension_header',
          [
            six(near.privateIp, p.extension(p.NEXT.routing, p.udp(9))),
            six(near.privateIp, p.extension(p.NEXT.hopByHop, p.udp(9))),
          ],
        ],
        [
          'fragment',
          [
            six('fdaa::3', p.fragment(0, false, p.udp(53))),
            six('fdaa::3', p.fragment(8, true, p.udp(53))),
          ],
        ],
        [
          'denied_destination',
          [
            p.ethernet(
              link,
              p.ETHERNET.ipv4,
              p.ipv4({ from: evil.privateIpv4, to: victim.privateIpv4 }, p.tcp(22)),
            ),
            p.ethernet(
              link,
              p.ETHERNET.ipv4,
              p.ipv4({ from: evil.privateIpv4, to: '169.254.169.254' }, p.tcp(80)),
            ),
          ],
        ],
        ['ethertype', [p.ethernet(link, 0x88cc, Buffer.alloc(46))]],
        ['multicast', [six('ff02::fb', p.udp(5353))]],
      ]
      const before = await fleet.drops(evil)
      const quiet = [victim, farVictim, near, iad]
      for (const one of quiet) await fleet.listen(one)
      await fleet.send(
        evil,
        attempts.flatMap(([, frames]) => frames),
      )
      const wanted = Object.fromEntries(attempts.map(([reason, frames]) => [reason, frames.length]))
      const counted = async () => {
        const now = await fleet.drops(evil)
        return Object.fromEntries(
          attempts.map(([reason]) => [reason, (now[reason] ?? 0) - (before[reason] ?? 0)]),
        )
      }
      // Its own kernel may send packets of its own meanwhile: at least as many.
      await eventually('every drop counted', counted, (seen) =>
        Object.entries(wanted).every(([reason, count]) => (seen[reason] ?? 0) >= count),
      )
      for (const one of quiet) {
        assert.equal(await fleet.heard(one), 0, `${one.host}: ${one.privateIp} heard nothing`)
      }
      assert(await fleet.pings(evil, near.privateIp), 'what is allowed still passes')
      assert((await fleet.heard(near)) >= 1, 'and is heard')
    },
  )

  await t.test('a host changes its key while packets flow, and none is lost', async () => {
    const flow = fleet.inside(iad, `ping -i 0.02 -c 400 -W 3 ${nrt.privateIp}`)
    const unrelated = await fleet.handshakes('ams-1')
    await fleet.rotate('nrt-1')
    assert.match(await flow, / 0% packet loss/)
    const key = (await fleet.tellRows()).find(({ id }) => id === 'iad-1')?.mesh_public_key ?? ''
    assert.equal((await fleet.handshakes('ams-1')).get(key), unrelated.get(key))
    const used = async () => (await fleet.handshakes('nrt-1')).size
    await eventually('both keys at the new device', used, (count) => count >= 2)
    await fleet.reaches(near, nrt)
  })

  await t.test(
    'daemons are killed and the packets go on; started again they change nothing',
    async () => {
      for (const host of HOSTS) {
        const daemon = world.commands(host).find(({ name }) => name === 'net6')
        assert(daemon !== undefined)
        process.kill(-daemon.leader.pid, 'SIGKILL')
        await eventually(
          'its end',
          () => world.commands(host).length,
          (count) => count === 0,
        )
      }
      for (const [from, to] of [
        [near, iad],
        [iad, nrt],
        [nrt, evil],
        [evil, near],
      ] as const) {
        assert(await fleet.pings(from, to.privateIp), `${from.host} to ${to.host}`)
      }
      const flow = fleet.inside(iad, `ping -i 0.05 -c 100 -W 3 ${near.privateIp}`)
      const before = await fleet.handshakes('iad-1')
      for (const host of HOSTS) await fleet.startDaemon(host)
      assert.match(await flow, / 0% packet loss/)
      const after = await fleet.handshakes('iad-1')
      for (const [key, at] of before) assert((after.get(key) ?? 0) >= at)
      await fleet.reaches(nrt, near)
    },
  )
})
