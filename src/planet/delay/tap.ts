import { closeSync, constants, openSync, statSync } from 'node:fs'
import { constants as system } from 'node:os'
import { errorCode } from '#base'
import { NativeMemory } from '#native'
import { DelayError } from './errors.ts'
import { ioctl, setNetworkNamespace } from './libc.ts'

// Source: linux/if_tun.h, linux/if.h.
const TUNSETIFF = 0x400454ca
const TUNSETOFFLOAD = 0x400454d0
const TUNSETVNETHDRSZ = 0x400454d8
const IFF_TAP = 0x0002
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000
const OFFLOAD_CSUM_TSO = 0x01 | 0x02 | 0x04 // CSUM, TSO4, TSO6
const OFFLOAD_USO = 0x20 | 0x40 // USO4, USO6: since Linux 6.2
const IFREQ_BYTES = 40
const IFREQ_FLAGS_OFFSET = 16

/** `struct virtio_net_hdr` ahead of every frame: tells where a checksum or a split is due. */
const VNET_HEADER_BYTES = 10

/**
 * The largest frame: a segment of 64 KiB that the receiving kernel splits, with Ethernet header,
 * two VLAN tags and `virtio_net_hdr`, rounded up.
 */
export const FRAME_BYTES_MAX = 66_000

/** One open end of a link. Closing it takes the interface's carrier, and the interface if it was not persistent. */
export interface Tap {
  readonly fd: number
  readonly netns: string
  readonly name: string
  /** Identity of the namespace it was opened in. */
  readonly netnsInode: number
}

/**
 * Attaches to the TAP device `name` in the namespace that the file `netns` pins, and creates it
 * there (to vanish on close) when it is absent. Reads and writes do not block. Frames pass with
 * offloads unresolved: whole segments, checksums left to the receiver, as between two virtual NICs.
 *
 * The calling thread visits the namespace for the time of the call.
 *
 * @throws DelayError delay.namespace_missing; delay.system (EBUSY: another process is attached).
 */
export function openTap(netns: string, name: string): Tap {
  const opened = visitNamespace(netns, () => {
    // The device that TUNSETIFF finds is one of the namespace this file was opened in.
    const flags = constants.O_RDWR | constants.O_NONBLOCK
    return openSync('/dev/net/tun', flags)
  })
  try {
    attach(opened.fd, name)
  } catch (error) {
    closeSync(opened.fd)
    if (!(error instanceof DelayError)) throw error
    throw new DelayError('delay.system', {
      what: 'cannot attach to a TAP device',
      values: { netns, tap: name, ...error.values },
      cause: error,
    })
  }
  return { ...opened, netns, name }
}

function visitNamespace(netns: string, openFile: () => number) {
  const own = openSync('/proc/thread-self/ns/net', constants.O_RDONLY)
  try {
    const target = openNamespace(netns)
    try {
      setNetworkNamespace(target)
      return { fd: openFile(), netnsInode: statSync(netns).ino }
    } finally {
      closeSync(target)
      setNetworkNamespace(own)
    }
  } finally {
    closeSync(own)
  }
}

function openNamespace(netns: string): number {
  try {
    return openSync(netns, constants.O_RDONLY)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    throw new DelayError('delay.namespace_missing', {
      what: 'no such network namespace',
      values: { netns },
      fix: 'create it first: ip netns add',
      cause: error,
    })
  }
}

function attach(fd: number, name: string): void {
  const request = new NativeMemory(IFREQ_BYTES)
  request.bytes.write(name, 'latin1')
  request.bytes.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, IFREQ_FLAGS_OFFSET)
  ioctl(fd, 'TUNSETIFF', TUNSETIFF, request.address)
  const headerBytes = new NativeMemory(4)
  headerBytes.words[0] = VNET_HEADER_BYTES
  ioctl(fd, 'TUNSETVNETHDRSZ', TUNSETVNETHDRSZ, headerBytes.address)
  try {
    // The argument of this one is a number, not a pointer.
    ioctl(fd, 'TUNSETOFFLOAD', TUNSETOFFLOAD, BigInt(OFFLOAD_CSUM_TSO | OFFLOAD_USO))
  } catch {
    ioctl(fd, 'TUNSETOFFLOAD', TUNSETOFFLOAD, BigInt(OFFLOAD_CSUM_TSO))
  }
}

/**
 * Whether the namespace still has its file. An open TAP keeps a namespace alive after `ip netns
 * del`, so no read ever fails: the missing file is the only sign.
 */
export function isNamespacePinned({ netns, netnsInode }: Tap): boolean {
  return statSync(netns, { throwIfNoEntry: false })?.ino === netnsInode
}

const { EAGAIN, EINTR, ENOBUFS, ENOMEM } = system.errno

/** Whether a read that gave -errno says nothing about the device: try again later. */
export const isPassing = (result: number): boolean =>
  result === -EAGAIN || result === -EINTR || result === -ENOBUFS || result === -ENOMEM
