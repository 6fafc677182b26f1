/** Names that follow from a machine's id, so that a second run finds what the first one made. */
import { isMachineId, type MachineId } from '#base'

export const NETNS_FOLDER = '/run/netns'
const NETNS_PREFIX = 'godwit-machine-'
/** All host's ends of machines' links begin with it: the firewall tells them by it. */
export const HOST_DEVICE_PREFIX = 'gw-'
/** The interface that the machine sees; a virtual machine's is its own kernel's. */
export const GUEST_DEVICE = 'eth0'
/** In the namespace of a virtual machine: its tap, and the end of the link to the host. */
export const TAP_DEVICE = 'tap0'
export const UPLINK_DEVICE = 'up0'

export const netnsName = (id: MachineId): string => `${NETNS_PREFIX}${id}`

/** Fifteen characters are an interface's limit: 56 bits are eleven digits to base 36. */
export const hostDevice = (id: MachineId): string =>
  `${HOST_DEVICE_PREFIX}${BigInt(`0x${id}`).toString(36)}`

/** The other way round; undefined for a name that is none of a machine's. */
export function machineOfDevice(device: string): MachineId | undefined {
  const digits = device.slice(HOST_DEVICE_PREFIX.length)
  if (!device.startsWith(HOST_DEVICE_PREFIX) || !/^[0-9a-z]{1,11}$/.test(digits)) return undefined
  const number = [...digits].reduce(
    (sum, digit) => sum * 36n + BigInt(Number.parseInt(digit, 36)),
    0n,
  )
  const id = number.toString(16).padStart(14, '0')
  return isMachineId(id) ? id : undefined
}

export function machineOfNetns(name: string): MachineId | undefined {
  const id = name.slice(NETNS_PREFIX.length)
  return name.startsWith(NETNS_PREFIX) && isMachineId(id) ? id : undefined
}

/** Locally administered (the second bit of the first byte), and unique on the host as the field is. */
export function machineMac(machine: number): string {
  const bytes = Buffer.from([0x02, 0x6e, 0, 0, 0, 0])
  bytes.writeUInt32BE(machine, 2)
  return bytes.toString('hex').replace(/..(?=.)/g, '$&:')
}

/** Of the host's end of every machine's link: no two of them meet. */
export const GATEWAY_MAC = '02:67:77:00:00:01'
