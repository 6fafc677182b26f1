import { GLOBAL_SERVICES_MASK, machineOfDevice } from '#net6'
import { ProxyError } from '../errors.ts'
import type { EventLoop } from '../net/event-loop.ts'
import {
  AF_INET,
  AF_PACKET,
  bind,
  close,
  IPPROTO_RAW,
  nameInterface,
  PACKET_VNET_HDR,
  SO_ATTACH_FILTER,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_PACKET,
  SOL_SOCKET,
  sendto,
  setsockopt,
  socket,
} from '../net/libc.ts'
import { Memory } from '../net/memory.ts'
import { DatagramSocket, datagram, MARGIN_BYTES, sender } from './datagram-socket.ts'
import { ipOf } from './endpoint.ts'

/** Packets to the machines of this host under others' addresses, and what they answer from fly-global-services. */
export interface MachineWire {
  /** An IPv4 packet with its header. @returns whether it went */
  send(memory: Memory, start: number, length: number, to: number): boolean
  /** Hears the machines: another process may go on with it. */
  readonly hearing?: number
  close(): void
}

/** What a machine has sent from fly-global-services: an IPv4 packet, in `datagram`. */
export interface MachineAnswer {
  readonly start: number
  readonly length: number
  /** Whose link it came by. */
  readonly machine: string
  /** A container's kernel hands on several datagrams as one: the payload of each but the last. 0: it is one. */
  readonly segmentBytes: number
}

export type OpenMachineWire = (
  loop: EventLoop,
  answered: (answer: MachineAnswer) => void,
  /** The `hearing` of the process before. */
  inherited?: number,
) => MachineWire

const IPV4_TYPE = 0x0800
// Before the packet: struct virtio_net_hdr (linux/virtio_net.h), by PACKET_VNET_HDR, then the header of Ethernet.
const OFFLOAD_BYTES = 10
const ETHERNET_BYTES = 14
const PACKET_START = MARGIN_BYTES + OFFLOAD_BYTES + ETHERNET_BYTES
const PACKET_BYTES_MAX = 65_535
const OFFLOAD_UDP_SEGMENTS = 5 // VIRTIO_NET_HDR_GSO_UDP_L4, which Linux tells from 6.2 on
const NAME_BYTES = 16
/** Names of interfaces that are remembered: a number is never given twice while a host is up. */
const NAMES_MAX = 10_000

// Classic BPF (linux/filter.h): instructions of code, jump if true, jump if false, constant.
const LOAD_BYTE = 0x30
const LOAD_WORD = 0x20
const AND = 0x54
const JUMP_IF_EQUAL = 0x15
const RETURN = 0x06
const UDP = 17
/** UDP from a machine's address of fly-global-services. */
const FILTER: readonly (readonly [number, number, number, number])[] = [
  [LOAD_BYTE, 0, 0, ETHERNET_BYTES + 9], // the protocol
  [JUMP_IF_EQUAL, 0, 4, UDP],
  [LOAD_WORD, 0, 0, ETHERNET_BYTES + 12], // the source
  [AND, 0, 0, ipOf(GLOBAL_SERVICES_MASK.mask)],
  [JUMP_IF_EQUAL, 0, 1, ipOf(GLOBAL_SERVICES_MASK.value)],
  [RETURN, 0, 0, 0x7fffffff],
  [RETURN, 0, 0, 0],
]

const one = new Memory(8)
one.bytes.writeInt32LE(1, 0)

/**
 * Two sockets: a raw one, for packets whose source is the client's, and one that sees the packets of machines after the
 * programs of their links have let them pass (so no source is forged) and before the firewall drops them.
 * @throws ProxyError proxy.system: it needs CAP_NET_RAW
 */
export const openMachineWire: OpenMachineWire = (loop, answered, inherited) => {
  const raw = need(
    'raw socket',
    socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW),
  )
  let packets: number
  try {
    packets = inherited ?? openHearing()
  } catch (error) {
    close(raw)
    throw error
  }
  const names = new InterfaceNames()
  const target = new Memory(16) // struct sockaddr_in
  target.bytes.writeUInt16LE(AF_INET, 0)
  const received = (bytes: number) => {
    const machine = names.machineOf(sender.bytes.readInt32LE(4))
    if (machine === undefined) return
    const isSegmented = datagram.bytes[MARGIN_BYTES + 1] === OFFLOAD_UDP_SEGMENTS
    const segmentBytes = isSegmented ? datagram.bytes.readUInt16LE(MARGIN_BYTES + 4) : 0
    const length = bytes - OFFLOAD_BYTES - ETHERNET_BYTES
    answered({ start: PACKET_START, length, machine, segmentBytes })
  }
  const roomBytes = OFFLOAD_BYTES + ETHERNET_BYTES + PACKET_BYTES_MAX
  const receiving = new DatagramSocket(loop, packets, received, roomBytes)
  return {
    hearing: packets,
    send(memory, start, length, ip) {
      target.bytes.writeUInt32BE(ip, 4)
      return sendto(raw, memory.at(start), length, target.at(0), target.size) >= 0
    },
    close() {
      receiving.close()
      close(raw)
      close(packets)
    },
  }
}

function openHearing(): number {
  const fd = need('packet socket', socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
  try {
    const [program, instructions] = encodeFilter()
    need('filter', setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program.at(0), program.size))
    need('offload', setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, one.at(0), 4))
    const at = packetAddress()
    need('bind', bind(fd, at.at(0), at.size))
    instructions.bytes.fill(0) // the kernel has a copy
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

function need(call: string, result: number): number {
  if (result >= 0) return result
  throw new ProxyError('proxy.system', {
    what: 'public UDP does not reach the machines of this host',
    values: { call, errno: -result },
    fix: 'let the proxy have CAP_NET_RAW',
  })
}

/** `struct sock_fprog`, and what it points to. */
function encodeFilter(): [program: Memory, instructions: Memory] {
  const instructions = new Memory(FILTER.length * 8)
  for (const [index, [code, ifTrue, ifFalse, constant]] of FILTER.entries()) {
    instructions.bytes.writeUInt16LE(code, index * 8)
    instructions.bytes[index * 8 + 2] = ifTrue
    instructions.bytes[index * 8 + 3] = ifFalse
    instructions.bytes.writeUInt32LE(constant, index * 8 + 4)
  }
  const program = new Memory(16)
  program.bytes.writeUInt16LE(FILTER.length, 0)
  program.bytes.writeBigUInt64LE(instructions.at(0), 8)
  return [program, instructions]
}

/** `struct sockaddr_ll`: IPv4 at every interface. */
function packetAddress(): Memory {
  const address = new Memory(20)
  address.bytes.writeUInt16LE(AF_PACKET, 0)
  address.bytes.writeUInt16BE(IPV4_TYPE, 2)
  return address
}

/** Which machine's link an interface is. */
class InterfaceNames {
  readonly #machines = new Map<number, string | undefined>()
  readonly #name = new Memory(NAME_BYTES)

  machineOf(index: number): string | undefined {
    const known = this.#machines.get(index)
    if (known !== undefined || this.#machines.has(index)) return known
    if (!nameInterface(index, this.#name.at(0))) return undefined
    const { bytes } = this.#name
    const machine = machineOfDevice(bytes.toString('latin1', 0, bytes.indexOf(0)))
    if (this.#machines.size >= NAMES_MAX) this.#machines.clear()
    this.#machines.set(index, machine)
    return machine
  }
}
