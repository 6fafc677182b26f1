import { join } from 'node:path'
import { type MachineId, type Random, systemRandom } from '#base'
import { drawMachineField } from '../allocation.ts'
import { Net6Error } from '../errors.ts'
import { deviceEntry, machineEntries } from '../programs/map-layout.ts'
import type { Programs } from '../programs/programs.ts'
import { OPEN_TRAFFIC, policedDirections } from '../programs/traffic-policy.ts'
import { checkNetworkId } from '../six-pn-address.ts'
import type { System } from '../system.ts'
import {
  GATEWAY_MAC,
  hostDevice,
  machineMac,
  machineOfDevice,
  machineOfNetns,
  NETNS_FOLDER,
  netnsName,
} from './link-names.ts'
import {
  addressLines,
  insideLines,
  linkLines,
  networkOf,
  TAP_IFINDEX,
  tapLines,
  UPLINK_IFINDEX,
} from './link-plan.ts'
import type { MachineNetwork, MachineNetworkSpec, MachineNetworkState } from './machine-network.ts'
import { type MachineRecord, MachineRecords } from './machine-record.ts'
import { endPolicing, preparePolicing } from './police.ts'
import { freeSlot, privateIpv4 } from './private-ipv4.ts'

/** What WireGuard leaves of 1,500 bytes over IPv6: 40 of the outer header, 8 of UDP, 32 of its own. */
export const MTU_BYTES = 1420
/** A machine that may send so much a second may send this part of it at once. */
const BURST_PART = 1 / 8
const BURST_BYTES_MIN = 128 * 1024

export interface MachineNetworksOptions {
  readonly system: System
  readonly programs: Programs
  /** The records of what was given to machines; lasts over reboots. */
  readonly folder: string
  /** This host's field in 6PN addresses. */
  readonly host: number
  /** @default MTU_BYTES */
  readonly mtuBytes?: number
  readonly random?: Random
}

/**
 * The networks of this host's machines. What it makes stands without it: it may be killed and opened again
 * at any moment, and one that was half made is made whole by the next `make`, or goes with `remove`.
 */
export class MachineNetworks {
  readonly #options: MachineNetworksOptions
  readonly #store: MachineRecords
  readonly #records: Map<MachineId, MachineRecord>
  /** Who works on a machine: the next one waits. */
  readonly #turns = new Map<MachineId, Promise<unknown>>()

  private constructor(
    options: MachineNetworksOptions,
    store: MachineRecords,
    records: Map<MachineId, MachineRecord>,
  ) {
    this.#options = options
    this.#store = store
    this.#records = records
  }

  /** @throws Net6Error net6.state_bad */
  static async open(options: MachineNetworksOptions): Promise<MachineNetworks> {
    const store = new MachineRecords(join(options.folder, 'machines'))
    return new MachineNetworks(options, store, await store.readAll())
  }

  /**
   * Makes the network of a machine, or finds it standing: the same addresses, until it is removed.
   *
   * @throws Net6Error net6.machine_differs, net6.network_reserved, net6.pool_full, net6.tool_failed
   */
  make(spec: MachineNetworkSpec, signal?: AbortSignal): Promise<MachineNetwork> {
    return this.#inTurn(spec.id, async () => {
      const old = this.#records.get(spec.id)
      const isWhole = old !== undefined && (await this.#isWhole(old, signal))
      const record = await this.#give(spec, isWhole)
      await this.#build(record, isWhole, signal)
      if (isWhole && isPoliced(old) && !isPoliced(record))
        await this.#endPolicing(record.id, signal)
      return networkOf(record, this.#mtuBytes)
    })
  }

  /** Takes its link away and keeps its addresses for the next `make`, as of a machine that stops. May run twice. */
  takeDown(id: MachineId, signal?: AbortSignal): Promise<void> {
    return this.#inTurn(id, async () => {
      const record = this.#records.get(id)
      await this.#demolish(id, record, signal)
      if (record !== undefined && !record.isAtRest) await this.#keep({ ...record, isAtRest: true })
    })
  }

  /** Takes it away, whatever of it there is. May run twice. */
  remove(id: MachineId, signal?: AbortSignal): Promise<void> {
    return this.#inTurn(id, async () => {
      const record = this.#records.get(id)
      await this.#demolish(id, record, signal)
      await this.#store.remove(id)
      this.#records.delete(id)
    })
  }

  /** Whether it was given a network, which may be down now. */
  has(id: MachineId): boolean {
    return this.#records.has(id)
  }

  /** Every machine that was given a network. */
  async list(signal?: AbortSignal): Promise<MachineNetworkState[]> {
    const devices = await this.#hostDevices(signal)
    return [...this.#records.values()].map((record) => ({
      ...networkOf(record, this.#mtuBytes),
      isUp: devices.get(hostDevice(record.id))?.isUp ?? false,
    }))
  }

  /** Machines of which something is there, but no record: `remove` takes that away, too. */
  async listStrays(signal?: AbortSignal): Promise<MachineId[]> {
    const devices = [...(await this.#hostDevices(signal)).keys()].map(machineOfDevice)
    const script = `ls ${NETNS_FOLDER} 2>/dev/null || :`
    const { stdout } = await this.#options.system.run('sh', ['-c', script], { signal })
    const found = new Set([...devices, ...stdout.split('\n').map(machineOfNetns)])
    return [...found].filter((id) => id !== undefined && !this.#records.has(id)) as MachineId[]
  }

  get #mtuBytes(): number {
    return this.#options.mtuBytes ?? MTU_BYTES
  }

  async #inTurn<T>(id: MachineId, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve()
    const turn = before.then(work, work) // whoever came before told its own caller how it ended
    this.#turns.set(id, turn)
    try {
      return await turn
    } finally {
      if (this.#turns.get(id) === turn) this.#turns.delete(id)
    }
  }

  /**
   * The record, kept before anything is made, so that a reboot does not change the addresses. The host's field
   * in them may have changed since the link was last laid; while it stands they stay.
   */
  async #give(spec: MachineNetworkSpec, isWhole: boolean): Promise<MachineRecord> {
    const { host, random = systemRandom } = this.#options
    const old = this.#records.get(spec.id)
    if (old !== undefined) checkSame(old, spec)
    else checkNetworkId(spec.networkId)
    const others = [...this.#records.values()]
    const policy = spec.policy ?? old?.policy
    const record: MachineRecord = {
      ...spec,
      ...(policy === undefined ? {} : { policy }),
      host: isWhole && old !== undefined ? old.host : host,
      machine: old?.machine ?? drawMachineField(new Set(others.map((one) => one.machine)), random),
      slot: old?.slot ?? freeSlot(new Set(others.map((one) => one.slot))),
    }
    await this.#keep(record)
    return record
  }

  async #keep(record: MachineRecord): Promise<void> {
    this.#records.set(record.id, record) // before the wait: the next one must see what is taken
    await this.#store.write(record)
  }

  async #build(record: MachineRecord, isWhole: boolean, signal?: AbortSignal): Promise<void> {
    const { system, programs } = this.#options
    const device = hostDevice(record.id)
    if (!isWhole) {
      await this.#demolish(record.id, record, signal)
      await this.#layLink(record, signal)
    }
    if (record.kind === 'container') {
      await this.#inside(record.id, 'ip', insideLines(record, this.#mtuBytes), signal)
    }
    const ifindex = await this.#ifindexOf(device, signal)
    if (ifindex === undefined) throw lost(device)
    const entries = machineEntries(ifindex, this.#entryOf(record))
    await programs.ensureCounted(ifindex, signal)
    await preparePolicing(programs, { ifindex, policy: record.policy }, signal)
    await programs.set(entries, signal)
    const lines = [
      `qdisc replace dev ${device} clsact`,
      ...programs.attachLines(device, 'from_machine', 'to_machine'),
      ...shapingLines(device, record),
    ]
    await system.run('tc', ['-batch', '-'], { input: batch(lines), signal })
    await system.run('ip', ['-batch', '-'], { input: batch(addressLines(record)), signal })
    await setForwarding(system, device, signal)
  }

  async #layLink(record: MachineRecord, signal?: AbortSignal): Promise<void> {
    const { system, programs } = this.#options
    const { id, kind } = record
    const netns = netnsName(id)
    await system.run('ip', ['netns', 'add', netns], { signal })
    if (kind === 'vm') {
      await system.run('ip', ['netns', 'exec', netns, 'sh', '-ec', SILENCE_SCRIPT], { signal })
      await this.#inside(id, 'ip', tapLines(record, this.#mtuBytes), signal)
    }
    await system.run('ip', ['-batch', '-'], {
      input: batch(linkLines(record, this.#mtuBytes)),
      signal,
    })
    if (kind !== 'vm') return
    await this.#inside(id, 'ip', [`link set up0 up`], signal)
    const guards = ['tap0', 'up0'].flatMap((device) => [
      `qdisc add dev ${device} clsact`,
      ...programs.attachLines(device, 'wire'),
    ])
    await this.#inside(id, 'tc', guards, signal)
  }

  /** Not `tc -n`: that mounts a /sys of its own, in which nothing is pinned. */
  async #inside(id: MachineId, tool: string, lines: readonly string[], signal?: AbortSignal) {
    const enter = [`--net=${NETNS_FOLDER}/${netnsName(id)}`, '--', tool, '-batch', '-']
    await this.#options.system.run('nsenter', enter, { input: batch(lines), signal })
  }

  /** Both ends are there, as they were made. */
  async #isWhole({ id, kind }: MachineRecord, signal?: AbortSignal): Promise<boolean> {
    if ((await this.#ifindexOf(hostDevice(id), signal)) === undefined) return false
    const args = ['-n', netnsName(id), '-j', 'link', 'show']
    const { exitCode, stdout } = await this.#options.system.run('ip', args, {
      okCodes: [0, 1, 255],
      signal,
    })
    if (exitCode !== 0) return false
    const links = JSON.parse(stdout) as LinkRow[]
    const has = (name: string, ifindex?: number) =>
      links.some((link) => link.ifname === name && (ifindex ?? link.ifindex) === link.ifindex)
    return kind === 'vm' ? has('tap0', TAP_IFINDEX) && has('up0', UPLINK_IFINDEX) : has('eth0')
  }

  async #demolish(
    id: MachineId,
    record: MachineRecord | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const { system, programs } = this.#options
    const device = hostDevice(id)
    const ifindex = await this.#ifindexOf(device, signal)
    if (ifindex !== undefined) {
      if (record !== undefined) {
        const entries = machineEntries(ifindex, this.#entryOf(record))
        await programs.remove([...entries.toReversed(), deviceEntry(ifindex)], signal)
        if (isPoliced(record)) await endPolicing(programs, ifindex, signal)
      }
      await system.run('ip', ['link', 'delete', device], { okCodes: [0, 1], signal })
    }
    const netns = netnsName(id)
    await system.run('sh', ['-ec', REMOVE_NETNS_SCRIPT, 'sh', netns], { signal })
  }

  async #endPolicing(id: MachineId, signal?: AbortSignal): Promise<void> {
    const ifindex = await this.#ifindexOf(hostDevice(id), signal)
    if (ifindex !== undefined) await endPolicing(this.#options.programs, ifindex, signal)
  }

  async #ifindexOf(device: string, signal?: AbortSignal): Promise<number | undefined> {
    const args = ['-j', 'link', 'show', 'dev', device]
    const options = { okCodes: [0, 1], signal }
    const { exitCode, stdout } = await this.#options.system.run('ip', args, options)
    if (exitCode !== 0) return undefined // there is none
    return (JSON.parse(stdout) as LinkRow[])[0]?.ifindex
  }

  /** All of them: for lists, not for one machine. */
  async #hostDevices(
    signal?: AbortSignal,
  ): Promise<Map<string, { ifindex: number; isUp: boolean }>> {
    const { stdout } = await this.#options.system.run(
      'ip',
      ['-j', 'link', 'show', 'type', 'veth'],
      {
        signal,
      },
    )
    const links = JSON.parse(stdout || '[]') as LinkRow[]
    return new Map(
      links
        .filter(({ ifname }) => ifname.startsWith('gw-'))
        .map(({ ifname, ifindex, flags }) => [ifname, { ifindex, isUp: flags.includes('UP') }]),
    )
  }

  #entryOf(record: MachineRecord) {
    const { networkId: network, host, machine, slot, sendBytesPerS = 0, policy } = record
    const v4 = privateIpv4(slot)
    return {
      address: { network, host, machine, low: 0 },
      ipv4: v4.machine,
      ipv4Second: v4.globalServices,
      ipv4Gateway: v4.gateway,
      mac: machineMac(machine),
      gatewayMac: GATEWAY_MAC,
      sendBytesPerS,
      burstBytes: Math.max(BURST_BYTES_MIN, sendBytesPerS * BURST_PART),
      policy: policy ?? OPEN_TRAFFIC,
    }
  }
}

/** Of `ip -j link`. */
interface LinkRow {
  readonly ifname: string
  readonly ifindex: number
  readonly flags: readonly string[]
}

const isPoliced = ({ policy = OPEN_TRAFFIC }: MachineRecord) => policedDirections(policy) !== 0

function checkSame(old: MachineRecord, spec: MachineNetworkSpec): void {
  if (old.networkId === spec.networkId && old.kind === spec.kind) return
  throw new Net6Error('net6.machine_differs', {
    what: 'the machine has another network',
    values: {
      machine: spec.id,
      has: `${old.networkId} (${old.kind})`,
      wanted: `${spec.networkId} (${spec.kind})`,
    },
    fix: 'remove its network first',
  })
}

const lost = (device: string) =>
  new Net6Error('net6.tool_failed', {
    what: "the machine's link was gone again",
    values: { device },
    fix: 'make the network once more',
  })

/** What it receives waits in a queue; what it sends is dropped by the program (native/bpf/machine.h). */
function shapingLines(device: string, { receiveBytesPerS }: MachineRecord): string[] {
  if (receiveBytesPerS === undefined) return [`qdisc replace dev ${device} root noqueue`]
  const burst = Math.max(BURST_BYTES_MIN, Math.round(receiveBytesPerS * BURST_PART))
  return [
    `qdisc replace dev ${device} root tbf rate ${receiveBytesPerS * 8}bit burst ${burst}b latency 100ms`,
  ]
}

/** A machine's interface forwards, believes no router, and answers for no other address. */
async function setForwarding(system: System, device: string, signal?: AbortSignal): Promise<void> {
  const settings = [
    `net.ipv4.conf.${device}.forwarding=1`,
    `net.ipv6.conf.${device}.forwarding=1`,
    `net.ipv6.conf.${device}.accept_ra=0`,
    `net.ipv4.conf.${device}.arp_ignore=1`,
    `net.ipv4.conf.${device}.arp_announce=2`,
    `net.ipv4.conf.${device}.send_redirects=0`,
    `net.ipv4.conf.${device}.rp_filter=0`,
  ]
  await system.run('sysctl', ['-q', '-w', ...settings], { signal })
}

const batch = (lines: readonly string[]) => `${lines.join('\n')}\n`

/** A virtual machine's namespace has no network stack of its own: it only hands frames through. */
const SILENCE_SCRIPT = `
sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
sysctl -q -w net.ipv4.conf.all.arp_ignore=8 net.ipv4.conf.default.arp_ignore=8`

const REMOVE_NETNS_SCRIPT = `[ ! -e "/run/netns/$1" ] || ip netns delete "$1"`
