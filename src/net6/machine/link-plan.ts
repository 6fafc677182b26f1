/**
 * A machine's link as lines of `ip -batch`. No I/O: what is to be done, from what was given to the machine.
 *
 *   container   [netns: eth0] ------------ gw-...
 *   vm          [netns: tap0 = up0] ------ gw-...     `=` is the program `wire`
 *
 * The host's end has the gateway's addresses. It never asks who has the machine's: that entry is permanent,
 * so the machine has no say in it.
 */
import { formatSixPn, GATEWAY_LOW, MACHINE_LOW, PLATFORM_ADDRESS } from '../six-pn-address.ts'
import {
  GATEWAY_MAC,
  GUEST_DEVICE,
  hostDevice,
  machineMac,
  NETNS_FOLDER,
  netnsName,
  TAP_DEVICE,
  UPLINK_DEVICE,
} from './link-names.ts'
import type { MachineNetwork } from './machine-network.ts'
import type { MachineRecord } from './machine-record.ts'
import { privateIpv4 } from './private-ipv4.ts'

/** Of the tap and the uplink in a virtual machine's namespace: `wire` takes one for the other. */
export const TAP_IFINDEX = 2
export const UPLINK_IFINDEX = 3

export function networkOf(record: MachineRecord, mtuBytes: number): MachineNetwork {
  const { id, networkId, host, machine, slot, kind } = record
  const at = (low: number) => formatSixPn({ network: networkId, host, machine, low })
  const v4 = privateIpv4(slot)
  const link = GUEST_DEVICE
  return {
    id,
    networkId,
    guest: {
      netnsPath: `${NETNS_FOLDER}/${netnsName(id)}`,
      device: kind === 'vm' ? TAP_DEVICE : GUEST_DEVICE,
      mac: machineMac(machine),
      mtuBytes,
    },
    init: {
      links: [{ name: link, mtuBytes }],
      addresses: [
        { link, cidr: `${at(MACHINE_LOW)}/112`, gateway: at(GATEWAY_LOW) },
        { link, cidr: `${v4.machine}/${v4.bits}`, gateway: v4.gateway },
        { link, cidr: `${v4.globalServices}/${v4.bits}` },
      ],
      nameservers: [PLATFORM_ADDRESS],
      hosts: [
        { address: at(MACHINE_LOW), names: ['fly-local-6pn'] },
        { address: v4.globalServices, names: ['fly-global-services'] },
      ],
    },
    privateIp: at(MACHINE_LOW),
    privateIpv4: v4.machine,
    globalServicesIpv4: v4.globalServices,
    hostDevice: hostDevice(id),
  }
}

/** In the machine's namespace, before the link: the tap takes index 2 there. */
export function tapLines({ tapOwner }: MachineRecord, mtuBytes: number): string[] {
  const owner = tapOwner === undefined ? '' : ` user ${tapOwner.uid} group ${tapOwner.gid}`
  return [
    `tuntap add dev ${TAP_DEVICE} mode tap vnet_hdr${owner}`,
    `link set ${TAP_DEVICE} mtu ${mtuBytes} up`,
  ]
}

/** On the host: both ends of the link, still down at the host. */
export function linkLines(record: MachineRecord, mtuBytes: number): string[] {
  const { id, machine, kind } = record
  const end = kind === 'vm' ? `${UPLINK_DEVICE} index ${UPLINK_IFINDEX}` : GUEST_DEVICE
  const mac = kind === 'vm' ? '' : ` address ${machineMac(machine)}`
  const peer = `peer name ${end}${mac} mtu ${mtuBytes} netns ${netnsName(id)}`
  return [`link add ${hostDevice(id)} address ${GATEWAY_MAC} mtu ${mtuBytes} type veth ${peer}`]
}

/**
 * In a container's namespace, whose network is the host's to make: it may change nothing of it. A virtual
 * machine's init does the same with the same addresses.
 */
export function insideLines(record: MachineRecord, mtuBytes: number): string[] {
  const { init } = networkOf(record, mtuBytes)
  return [
    'link set lo up',
    ...init.links.map(({ name, mtuBytes: mtu }) => `link set ${name} mtu ${mtu} up`),
    ...init.addresses.flatMap(({ link, cidr, gateway }) => [
      `address replace ${cidr} dev ${link}${cidr.includes(':') ? ' nodad' : ''}`,
      ...(gateway === undefined ? [] : [`route replace default via ${gateway} dev ${link} onlink`]),
    ]),
  ]
}

/** On the host, once the programs decide at the link. */
export function addressLines(record: MachineRecord): string[] {
  const device = hostDevice(record.id)
  const { networkId: network, host, machine, slot } = record
  const at = (low: number) => formatSixPn({ network, host, machine, low })
  const v4 = privateIpv4(slot)
  const known = [at(MACHINE_LOW), v4.machine, v4.globalServices]
  return [
    `link set ${device} addrgenmode none`,
    `link set ${device} up`,
    `address replace ${at(GATEWAY_LOW)}/112 dev ${device} nodad`,
    `address replace ${v4.gateway}/${v4.bits} dev ${device}`,
    ...known.map(
      (address) =>
        `neighbour replace ${address} lladdr ${machineMac(machine)} dev ${device} nud permanent`,
    ),
  ]
}
