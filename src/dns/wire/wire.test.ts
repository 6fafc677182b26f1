import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { ipv6Bytes } from '../directory/six-pn.ts'
import { machine, PLACE, queryPacket, SOURCE, smallWorld } from '../fixture/world.ts'
import { resolver } from '../resolver.ts'
import { walkRecords } from '../upstream/answer-cache.ts'
import { InternalZone } from '../zone/internal-zone.ts'
import { RCODE, TYPE } from './constants.ts'

function handlerOf(directory = smallWorld()) {
  const callerOf = (source: string) => directory.callerOf(ipv6Bytes(source))
  return resolver({ zone: new InternalZone(directory, PLACE), callerOf })
}

function reply(packet: Buffer, channel: 'udp' | 'tcp' = 'udp', directory = smallWorld()): Buffer {
  const answer = handlerOf(directory)(packet, SOURCE, channel)
  assert.ok(Buffer.isBuffer(answer))
  return answer
}

const rcodeOf = (packet: Buffer): number => packet.readUInt16BE(2) & 0xf

function changed(packet: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(packet)
  change(copy)
  return copy
}

test('the question is echoed with its letters as they came', () => {
  const packet = changed(queryPacket('web.internal'), (copy) => copy.write('wEb', 13))
  assert.deepEqual(reply(packet).subarray(12, packet.length), packet.subarray(12))
  assert.equal(reply(packet).readUInt16BE(6), 2)
})

test('what is no plain query is refused by its own code, and a response gets nothing', () => {
  const packet = queryPacket('web.internal')
  const cases: [string, (copy: Buffer) => void, number][] = [
    ['opcode', (copy) => copy.writeUInt16BE(0x2800, 2), RCODE.NOTIMP],
    ['two questions', (copy) => copy.writeUInt16BE(2, 4), RCODE.FORMERR],
    ['no question', (copy) => copy.writeUInt16BE(0, 4), RCODE.FORMERR],
    ['pointer to itself', (copy) => copy.writeUInt16BE(0xc00c, 12), RCODE.FORMERR],
    ['pointer forward', (copy) => copy.writeUInt16BE(0xc0ff, 12), RCODE.FORMERR],
    ['label of 64', (copy) => copy.writeUInt8(64, 12), RCODE.FORMERR],
    ['records that are not there', (copy) => copy.writeUInt16BE(9, 10), RCODE.FORMERR],
  ]
  for (const [what, change, rcode] of cases) {
    assert.equal(rcodeOf(reply(changed(packet, change))), rcode, what)
  }
  const response = changed(packet, (copy) => copy.writeUInt16BE(0x8100, 2))
  assert.equal(handlerOf()(response, SOURCE, 'udp'), undefined)
  assert.equal(handlerOf()(packet.subarray(0, 11), SOURCE, 'udp'), undefined)
})

test('an EDNS version that is not known gets BADVERS', () => {
  const packet = changed(queryPacket('web.internal', TYPE.AAAA, 1232), (copy) => {
    copy.writeUInt8(1, copy.length - 5)
  })
  const answer = reply(packet)
  assert.deepEqual([rcodeOf(answer), answer[answer.length - 6]], [0, 1])
})

test('a list that UDP cannot hold is cut there with TC, and whole over TCP', () => {
  const directory = smallWorld()
  for (let at = 0; at < 200; at += 1) {
    const id = `m${(0x100 + at).toString(16)}`
    directory.apply({ table: 'machines', key: id, row: machine(id) })
  }
  const packet = queryPacket('vms.web.internal', TYPE.TXT)
  const cut = reply(packet, 'udp', directory)
  assert.ok(cut.length <= 512 && (cut.readUInt16BE(2) & 0x0200) !== 0)
  const whole = reply(packet, 'tcp', directory)
  assert.deepEqual([whole.readUInt16BE(6), whole.readUInt16BE(2) & 0x0200], [1, 0])
})

test('any bytes get a reply or nothing, up to 64 KB', () => {
  const handle = handlerOf()
  const header = fc.constant(queryPacket('web.internal', TYPE.AAAA, 1232))
  const flips = fc.array(fc.tuple(fc.nat(40), fc.nat(255)), { maxLength: 6 })
  const mutated = fc
    .tuple(header, flips, fc.uint8Array({ maxLength: 300 }))
    .map(([base, edits, tail]) => {
      const packet = Buffer.concat([base, tail])
      for (const [at, value] of edits) packet[at] = value
      return packet
    })
  const anything = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes))
  fc.assert(
    fc.property(fc.oneof(mutated, anything), (packet) => {
      const answer = handle(packet, SOURCE, 'udp')
      assert.ok(answer === undefined || (Buffer.isBuffer(answer) && answer.length <= 1232))
      if (packet.length >= 12) walkRecords(packet)
    }),
    { numRuns: 3000 },
  )
  const huge = Buffer.alloc(65_535, 0xc0)
  queryPacket('web.internal').copy(huge)
  huge.writeUInt16BE(65_535, 10)
  assert.equal(rcodeOf(reply(huge, 'tcp')), RCODE.FORMERR)
})
