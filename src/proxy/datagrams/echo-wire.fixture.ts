import { datagram, MARGIN_BYTES } from './datagram-socket.ts'
import { readPacket, writePacketHead } from './ipv4-packet.ts'
import type { OpenMachineWire } from './machine-wire.ts'

const HEAD_BYTES = 28

/** In place of the wire to the machines of a host: machine `m1` answers with what it got, in the loop's next turn. */
export const echoWire: OpenMachineWire = (loop, answered) => ({
  send(memory, start, length) {
    const packet = readPacket(memory.bytes, start, length)
    if (typeof packet === 'string') return false
    const { from, to, payloadAt, payloadBytes } = packet
    const payload = Buffer.from(memory.bytes.subarray(payloadAt, payloadAt + payloadBytes))
    const ready = () => {
      const at = MARGIN_BYTES + HEAD_BYTES
      datagram.bytes.set(payload, at)
      const begin = writePacketHead(datagram.bytes, at, payloadBytes, { from: to, to: from })
      answered({ start: begin, length: at + payloadBytes - begin, machine: 'm1', segmentBytes: 0 })
    }
    loop.again({ ready })
    return true
  },
  close: () => undefined,
})
