/**
 * A network namespace for each machine, joined to the host by a pair of interfaces:
 *
 *   namespace godwit-ID: eth0 10.213.x.y+2/30 --- gwl<ID> 10.213.x.y+1/30 of the host --- NAT --- outside
 *
 * A machine reaches what the host reaches, but neither the host itself nor other machines; nobody reaches a
 * machine but the host. For a virtual machine the namespace holds a bridge of a tap and that interface.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { errorCode, type MachineId } from '#base'
import type { RuntimeKind } from '#guest'
import type { MachineNetwork } from '#machine'
import { LocalError } from '../errors.ts'
import type { LocalNetworks } from './local-network.ts'
import { runNetworkTool } from './network-tool.ts'

const PREFIX = 'gwl'
/** A /30 each. */
export const NETWORKS_MAX = 2 ** 14
const MTU_BYTES = 1420

/**
 * A table for each machine, whole in one transaction: it comes before its interface and goes after it, whatever other
 * machines do at the same time, and leaves nothing.
 */
const rulesOf = (id: MachineId, machine: string) => `
table inet ${tableOf(id)} {
  chain from_machine {
    ip saddr != ${machine} drop
    oifname "${PREFIX}*" drop
    accept
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "${outerOf(id)}" ct state established,related accept
    iifname "${outerOf(id)}" drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${outerOf(id)}" jump from_machine
    oifname "${outerOf(id)}" ct state established,related accept
    oifname "${outerOf(id)}" drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${machine} oifname != "${PREFIX}*" masquerade
  }
}
`

export class NatNetworks implements LocalNetworks {
  readonly #kind: RuntimeKind

  constructor(kind: RuntimeKind) {
    this.#kind = kind
  }

  async make(id: MachineId, index: number): Promise<MachineNetwork> {
    const [host, machine] = addressesOf(index)
    const [netns, outer] = [netnsOf(id), outerOf(id)]
    const isVirtual = this.#kind !== 'runc'
    await this.remove(id)
    await runNetworkTool('nft', ['-f', '-'], rulesOf(id, machine))
    await runNetworkTool('ip', ['netns', 'add', netns])
    const inner = isVirtual ? 'uplink' : 'eth0'
    const mac = macOf(index)
    const peer = ['peer', 'name', inner, 'netns', netns]
    const own = isVirtual ? [] : ['address', mac]
    await runNetworkTool('ip', [
      ...['link', 'add', outer, 'mtu', `${MTU_BYTES}`, 'type', 'veth'],
      ...[...peer.slice(0, 3), 'mtu', `${MTU_BYTES}`, ...own, ...peer.slice(3)],
    ])
    if (isVirtual) await bridge(netns)
    else await runInside(netns, eth0Commands(machine, host))
    setUpOuter(outer)
    await runNetworkTool('ip', ['addr', 'add', `${host}/30`, 'dev', outer])
    await runNetworkTool('ip', ['link', 'set', outer, 'up'])
    writeSetting('net/ipv4/ip_forward', '1')
    return {
      ...{ netnsPath: `/run/netns/${netns}`, device: isVirtual ? 'tap0' : 'eth0', mac },
      mtuBytes: MTU_BYTES,
      addresses: [{ cidr: `${machine}/30`, gateway: host }],
      nameservers: hostNameservers(),
    }
  }

  async remove(id: MachineId): Promise<void> {
    await runNetworkTool('ip', ['link', 'delete', outerOf(id)], undefined, /Cannot find device/)
    await runNetworkTool('ip', ['netns', 'delete', netnsOf(id)], undefined, /No such file/)
    await runNetworkTool('nft', ['delete', 'table', 'inet', tableOf(id)], undefined, /No such file/)
  }
}

export const netnsOf = (id: MachineId) => `godwit-${id}`
const tableOf = (id: MachineId) => `godwit_local_${id}`
/** An interface's name has at most 15 characters. */
const outerOf = (id: MachineId) => `${PREFIX}${id.slice(0, 12)}`

function addressesOf(index: number): [string, string] {
  if (index < 0 || index >= NETWORKS_MAX) throw new RangeError('no such network')
  const at = (offset: number) => {
    const low = index * 4 + offset
    return `10.213.${low >> 8}.${low & 255}`
  }
  return [at(1), at(2)]
}

export const machineAddressOf = (index: number) => addressesOf(index)[1]

/** Locally administered. */
function macOf(index: number): string {
  const hex = index.toString(16).padStart(4, '0')
  return `02:67:6f:64:${hex.slice(0, 2)}:${hex.slice(2)}`
}

const eth0Commands = (machine: string, host: string) => [
  'link set lo up',
  `addr add ${machine}/30 dev eth0`,
  'link set eth0 up',
  `route add default via ${host}`,
]

/** The virtual machine itself has the address; its frames cross to the host's interface. */
async function bridge(netns: string): Promise<void> {
  await runInside(netns, [
    'tuntap add dev tap0 mode tap',
    `link set tap0 mtu ${MTU_BYTES}`,
    'link add bridge0 type bridge',
    'link set uplink master bridge0',
    'link set tap0 master bridge0',
    ...['lo', 'uplink', 'tap0', 'bridge0'].map((device) => `link set ${device} up`),
  ])
}

async function runInside(netns: string, commands: readonly string[]): Promise<void> {
  await runNetworkTool('ip', ['-n', netns, '-batch', '-'], `${commands.join('\n')}\n`)
}

/** Only the machine's own address may come in, no IPv6, no redirects. */
function setUpOuter(outer: string): void {
  writeSetting(`net/ipv4/conf/${outer}/rp_filter`, '1')
  writeSetting(`net/ipv4/conf/${outer}/accept_redirects`, '0')
  writeSetting(`net/ipv4/conf/${outer}/send_redirects`, '0')
  writeSetting(`net/ipv6/conf/${outer}/disable_ipv6`, '1')
}

function writeSetting(name: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/${name}`, value)
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT' && name.includes('ipv6')) return // a kernel without IPv6
    throw new LocalError('local.network_failed', {
      what: 'a setting of the kernel could not be written',
      values: { name, value },
      fix: 'run without a network: --network none',
      cause,
    })
  }
}

/** Those that machines can reach: a resolver on the host's loopback is not one. */
function hostNameservers(): string[] {
  const files = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']
  const found = files.map((path) => nameserversIn(path))
  return found.find((addresses) => addresses.length > 0) ?? []
}

function nameserversIn(path: string): string[] {
  try {
    const matches = readFileSync(path, 'utf8').matchAll(/^\s*nameserver\s+(\S+)/gm)
    const addresses = [...matches].map((match) => match[1] ?? '')
    return addresses.filter((one) => isIP(one) === 4 && !one.startsWith('127.'))
  } catch {
    return [] // it only says where to ask
  }
}
