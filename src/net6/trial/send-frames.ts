/** Puts frames on an interface, past the kernel's network stack. Arguments: the interface, frames in hex. */

import { dlopen } from 'node:ffi'
import { readFileSync } from 'node:fs'

// Source: packet(7); linux/if_packet.h.
const AF_PACKET = 17
const SOCK_RAW = 3
const ADDRESS_BYTES = 20

const { functions } = dlopen('libc.so.6', {
  socket: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
  sendto: {
    return: 'int64',
    arguments: ['int32', 'buffer', 'uint64', 'int32', 'buffer', 'uint32'],
  },
})

const [device = '', ...frames] = process.argv.slice(2)
const address = Buffer.alloc(ADDRESS_BYTES)
address.writeUInt16LE(AF_PACKET, 0)
address.writeInt32LE(Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8')), 4)
const socket = functions.socket(AF_PACKET, SOCK_RAW, 0)
if (socket < 0) throw new Error('no packet socket: this needs CAP_NET_RAW')
for (const hex of frames) {
  const frame = Buffer.from(hex, 'hex')
  const sent = functions.sendto(socket, frame, BigInt(frame.length), 0, address, ADDRESS_BYTES)
  if (Number(sent) !== frame.length)
    throw new Error(`a frame of ${frame.length} bytes was not sent`)
}
