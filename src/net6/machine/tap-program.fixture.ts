/** Opens the tap that its argument names: lines of hex on standard input go in, what comes out is printed. */

import { dlopen } from 'node:ffi'
import { openSync, read, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'

// Source: linux/if_tun.h.
const TUNSETIFF = 0x400454ca
const IFF_TAP = 0x0002
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000
const VNET_HEADER_BYTES = 10

const { functions } = dlopen('libc.so.6', {
  ioctl: { return: 'int32', arguments: ['int32', 'uint64', 'buffer'] },
})
const request = Buffer.alloc(40)
request.write(process.argv[2] ?? '')
request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, 16)
const fd = openSync('/dev/net/tun', 'r+')
if (functions.ioctl(fd, BigInt(TUNSETIFF), request) !== 0) throw new Error('TUNSETIFF failed')
console.log('open')

const frame = Buffer.alloc(70_000)
function next(): void {
  read(fd, frame, 0, frame.length, null, (error, length) => {
    if (error) throw error
    console.log(frame.subarray(VNET_HEADER_BYTES, length).toString('hex'))
    next()
  })
}
next()
createInterface(process.stdin).on('line', (line) => {
  writeSync(fd, Buffer.concat([Buffer.alloc(VNET_HEADER_BYTES), Buffer.from(line, 'hex')]))
})
