import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newMachineId, pollUntil, seededRandom } from '#base'
import { hostField, type MachineNetwork, trialHostDaemon } from '#net6'
import {
  BOX_TOPOLOGY,
  buildPlanet,
  loadTopology,
  type PlanetNode,
  planWorld,
  removePlanet,
  type World,
} from '#planet'
import { type Bench, type Figure, median } from './figures.ts'

const PLANET = 'bench-mesh'
const HOSTS = ['ams-1', 'ams-2'] as const
const ROUNDS = 7
const TRANSFER_MIB = 32
const PING_COUNT = 400
const BARE_ADDRESSES = ['fd99::1', 'fd99::2'] as const
const BARE_PORT = 51_900
const DEADLINE = { deadlineMs: 60_000 }
const PROGRAMS = ['from_machine', 'to_machine', 'from_mesh', 'to_mesh'] as const

/**
 * Two machines at two hosts, joined by the mesh, against a WireGuard tunnel of the same implementation laid
 * right between the namespaces of the same machines: without programs, without a hop at either host.
 */
export const bench: Bench = {
  name: 'mesh',
  summary: 'TCP and round trips between machines of two hosts, against a bare WireGuard tunnel',
  async run(progress) {
    const shared = mkdtempSync(join(tmpdir(), 'godwit-bench-mesh-'))
    try {
      progress('building two hosts with a machine each')
      await removePlanet(PLANET)
      const plan = planWorld(PLANET, { ...loadTopology(BOX_TOPOLOGY), latency: false })
      const pair = await joinMachines(await buildPlanet(plan), shared)
      return [...(await measure(pair, progress)), ...(await measurePrograms(pair, progress))]
    } finally {
      await removePlanet(PLANET)
      rmSync(shared, { recursive: true })
    }
  },
}

interface Machine {
  readonly node: PlanetNode
  readonly network: MachineNetwork
}
type Pair = readonly [Machine, Machine]

const inside = ({ node, network }: Machine, script: string) => {
  const enter = [
    '-ec',
    `exec nsenter --net=${network.guest.netnsPath} -- sh -ec "$1"`,
    'sh',
    script,
  ]
  return node.run('sh', enter)
}

async function joinMachines(world: World, shared: string): Promise<Pair> {
  const hear = async <T>(name: string): Promise<T> => {
    const path = join(shared, name)
    await pollUntil(name, () => existsSync(path), DEADLINE)
    return JSON.parse(readFileSync(path, 'utf8')) as T
  }
  const random = seededRandom(1)
  for (const [index, hostId] of HOSTS.entries()) {
    const folder = join(shared, hostId)
    mkdirSync(folder)
    const publicAddress = world.node(hostId).plan.ipv4
    const spec = { id: newMachineId(random), networkId: 7, kind: 'container' }
    writeFileSync(join(shared, `${hostId}.machines.json`), JSON.stringify([spec]))
    const config = { hostId, host: hostField(index + 1), publicAddress, folder, shared }
    await world.start(hostId, 'net6', trialHostDaemon(config))
  }
  const rows = await Promise.all(HOSTS.map((hostId) => hear(`${hostId}.columns.json`)))
  writeFileSync(join(shared, 'rows.json'), JSON.stringify(rows))
  const machines: Machine[] = []
  for (const hostId of HOSTS) {
    const [network] = await hear<MachineNetwork[]>(`${hostId}.networks.json`)
    if (network === undefined) throw new Error(`${hostId} has no machine`)
    const node = world.node(hostId)
    machines.push({ node, network })
  }
  const pair = machines as unknown as Pair
  await layBareTunnel(pair)
  for (const target of [pair[1].network.privateIp, BARE_ADDRESSES[1]]) {
    const ping = () => inside(pair[0], `ping -c 1 -W 1 ${target} || true`)
    await pollUntil(target, async () => (await ping()).includes(' 1 received'), DEADLINE)
  }
  return pair
}

/** Its UDP socket stays with the host, as that of the mesh does; its interface moves into the machine. */
async function layBareTunnel(pair: Pair): Promise<void> {
  const keys: string[] = []
  for (const { node } of pair) {
    await node.run('sh', ['-ec', BARE_DEVICE_SCRIPT, 'sh', String(BARE_PORT)])
    keys.push((await node.run('wg', ['show', 'wgbare', 'public-key'])).trim())
  }
  for (const [index, { node, network }] of pair.entries()) {
    const other = pair[1 - index] as Machine
    const endpoint = `${other.node.plan.ipv4}:${BARE_PORT}`
    const peer = ['peer', keys[1 - index] ?? '', 'endpoint', endpoint, 'allowed-ips', 'fd99::/64']
    await node.run('wg', ['set', 'wgbare', ...peer])
    const { netnsPath } = network.guest
    await node.run('ip', ['link', 'set', 'wgbare', 'netns', netnsPath.split('/').at(-1) ?? ''])
    await inside(
      pair[index] as Machine,
      `ip address add ${BARE_ADDRESSES[index]}/64 dev wgbare nodad; ip link set wgbare mtu 1420 up`,
    )
  }
}

const BARE_DEVICE_SCRIPT = `
ip link add wgbare type wireguard 2>/dev/null ||
  LOG_LEVEL=error setsid wireguard-go wgbare >/dev/null 2>&1 </dev/null
wg genkey | wg set wgbare private-key /dev/stdin listen-port "$1"`

async function measure(pair: Pair, progress: (step: string) => void): Promise<Figure[]> {
  const ways = { mesh: pair[1].network.privateIp, bare: BARE_ADDRESSES[1] }
  const rates: Record<keyof typeof ways, number[]> = { mesh: [], bare: [] }
  const trips: Record<keyof typeof ways, number[]> = { mesh: [], bare: [] }
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`round ${round} of ${ROUNDS}`)
    const order = round % 2 === 0 ? (['mesh', 'bare'] as const) : (['bare', 'mesh'] as const)
    for (const way of order) {
      rates[way].push(await transfer(pair, ways[way], 9000 + round))
      trips[way].push(await roundTrip(pair, ways[way]))
    }
  }
  const ratio = median(rates.mesh.map((rate, round) => rate / (rates.bare[round] ?? 0)))
  const tripRatio = median(trips.mesh.map((trip, round) => trip / (trips.bare[round] ?? 0)))
  return [
    {
      key: 'mesh_mib_per_s',
      value: median(rates.mesh),
      what: 'TCP, machine to machine',
      better: 'higher',
    },
    {
      key: 'bare_mib_per_s',
      value: median(rates.bare),
      what: 'peer: TCP through the bare tunnel',
      better: 'higher',
    },
    {
      key: 'ratio_throughput_vs_bare',
      value: ratio,
      what: 'median of the rounds',
      better: 'higher',
    },
    {
      key: 'mesh_rtt_us',
      value: median(trips.mesh),
      what: 'round trip, machine to machine',
      better: 'lower',
    },
    {
      key: 'bare_rtt_us',
      value: median(trips.bare),
      what: 'peer: round trip through the bare tunnel',
      better: 'lower',
    },
    { key: 'ratio_rtt_vs_bare', value: tripRatio, what: 'median of the rounds', better: 'lower' },
  ]
}

/** MiB a second. */
async function transfer([from, to]: Pair, target: string, port: number): Promise<number> {
  await inside(to, `(sleep 60 | busybox nc -l -p ${port} >/dev/null) >/dev/null 2>&1 &`)
  const listens = async () => (await inside(to, `ss -Htln sport = ${port}`)) !== ''
  await pollUntil('a listener', listens, DEADLINE)
  const startedMs = performance.now()
  const zeros = `dd if=/dev/zero bs=1M count=${TRANSFER_MIB} 2>/dev/null`
  await inside(from, `${zeros} | busybox nc ${target} ${port}`)
  return (TRANSFER_MIB * 1000) / (performance.now() - startedMs)
}

/** Microseconds, the mean of many. */
async function roundTrip([from]: Pair, target: string): Promise<number> {
  const printed = await inside(from, `ping -q -c ${PING_COUNT} -i 0.002 ${target}`)
  const mean = /= [\d.]+\/([\d.]+)\//.exec(printed)?.[1]
  if (mean === undefined) throw new Error(`ping says: ${printed}`)
  return Number(mean) * 1000
}

/** In a round of their own, for the kernel's clock readings cost as much as a small program. */
async function measurePrograms(pair: Pair, progress: (step: string) => void): Promise<Figure[]> {
  progress('counting what the programs cost')
  const { node } = pair[0]
  const sysctl = (value: string) =>
    node.run('sysctl', ['-q', '-w', `kernel.bpf_stats_enabled=${value}`])
  const before = (await node.run('sysctl', ['-n', 'kernel.bpf_stats_enabled'])).trim()
  await sysctl('1')
  try {
    const stats = async () => {
      const found = await node.run('sh', ['-c', 'ls -d /sys/fs/bpf/godwit-net6-*/*/to_mesh'])
      const folder = found.trim().replace(/\/to_mesh$/, '')
      const show = (name: string) =>
        node.run('bpftool', ['-j', 'prog', 'show', 'pinned', `${folder}/${name}`])
      return Promise.all(PROGRAMS.map(async (name) => JSON.parse(await show(name)) as ProgramStats))
    }
    const start = await stats()
    await transfer(pair, pair[1].network.privateIp, 9100)
    await roundTrip(pair, pair[1].network.privateIp)
    const end = await stats()
    return PROGRAMS.map((name, index) => {
      const [from, to] = [start[index], end[index]]
      const runs = (to?.run_cnt ?? 0) - (from?.run_cnt ?? 0)
      const ns = ((to?.run_time_ns ?? 0) - (from?.run_time_ns ?? 0)) / runs
      return {
        key: `${name}_ns`,
        value: ns,
        what: 'program, each packet or segment',
        better: 'lower',
      }
    })
  } finally {
    await sysctl(before)
  }
}

interface ProgramStats {
  readonly run_time_ns?: number
  readonly run_cnt?: number
}
