import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { chooseHostField, drawMachineField, drawNetworkId, type HostClaim } from './allocation.ts'
import {
  backhaulAddress,
  checkNetworkId,
  formatSixPn,
  hostField,
  ipv6Bytes,
  machinePrefix,
  meshPrefix,
  networkPrefix,
  parseMeshPrefix,
  parseSixPn,
  sixPnBytes,
  swapSixPn,
} from './six-pn-address.ts'

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const addresses = fc.record(
  { network: u32, host: u32, machine: u32, low: fc.integer({ min: 0, max: 0xffff }) },
  { noNullPrototype: true },
)

test('an address has the bits of the published samples', () => {
  const parsed = parseSixPn('fdaa:2:45b:a7b:174:db43:d3c6:2')
  assert.deepEqual(parsed, {
    network: 0x2_045b,
    host: 0xa7b_0174,
    machine: 0xdb43_d3c6,
    low: 2,
  })
  assert.equal(networkPrefix(parsed.network), 'fdaa:2:45b::/48')
  assert.equal(machinePrefix(parsed), 'fdaa:2:45b:a7b:174:db43:d3c6:0/112')
  const onMesh = swapSixPn(parseSixPn('fdaa:0:863:a7b:bea:0:a:2'))
  assert.equal(formatSixPn(onMesh), 'fdaa:a7b:bea:0:863:0:a:2')
  assert.equal(meshPrefix(0xa7b_0bea, 0), 'fdaa:a7b:bea::/48')
  assert.equal(meshPrefix(0xa7b_0bea, 1), 'fdaa:a7c:bea::/48')
  assert.equal(backhaulAddress(0xa7b_0bea), 'fdaa:a7b:bea::1')
})

test('an address survives its text, and the way to the mesh and back', () => {
  fc.assert(
    fc.property(addresses, (address) => {
      assert.deepEqual(parseSixPn(formatSixPn(address)), address)
      assert.deepEqual(swapSixPn(swapSixPn(address)), address)
    }),
  )
})

test('the swap leaves the sum of the 16-bit words as it is, and with it every checksum', () => {
  const sum = (bytes: Buffer) =>
    Array.from({ length: 8 }, (_, word) => bytes.readUInt16BE(word * 2)).reduce((a, b) => a + b)
  fc.assert(
    fc.property(addresses, (address) => {
      assert.equal(sum(sixPnBytes(swapSixPn(address))), sum(sixPnBytes(address)))
    }),
  )
})

test('the prefix of a host on the mesh tells the host and the generation of its key', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(0, 1),
      (number, generation) => {
        const host = hostField(number)
        assert.deepEqual(parseMeshPrefix(meshPrefix(host, generation)), { host, generation })
      },
    ),
  )
  for (const wrong of [
    'fdaa:a7d:1::/48',
    'fdaa:a7b:1::/64',
    'fdaa:a7b:1::1/48',
    'fdaa:1:1::/48',
    '',
  ]) {
    assert.throws(() => parseMeshPrefix(wrong), { code: 'net6.address_bad' }, wrong)
  }
})

test('a network id that could be taken for a host, or for the platform, is refused', () => {
  for (const reserved of [0, 0xa7b_0000, 0xa7b_ffff, 0xa7c_0000, 0xa7c_ffff]) {
    assert.throws(() => checkNetworkId(reserved), { code: 'net6.network_reserved' })
  }
  for (const wrong of [-1, 1.5, 2 ** 32, Number.NaN]) {
    assert.throws(() => checkNetworkId(wrong), { code: 'net6.address_bad' })
  }
  fc.assert(
    fc.property(u32, (network) => {
      const form = formatSixPn({ network, host: 0, machine: 0, low: 0 })
      let isHost = true
      try {
        parseMeshPrefix(`${form}/48`)
      } catch {
        isHost = false
      }
      if (isHost) assert.throws(() => checkNetworkId(network))
    }),
  )
})

test('any text is an address of 6PN or a Net6Error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.ipV6(), fc.ipV4()), (text) => {
      try {
        assert.equal(ipv6Bytes(formatSixPn(parseSixPn(text))).readUInt16BE(), 0xfdaa)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'net6.address_bad')
      }
    }),
  )
})

test('hosts that choose their numbers alone all end with different ones', () => {
  const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 40 })
  fc.assert(
    fc.property(ids, fc.integer(), (hostIds, seed) => {
      const random = seededRandom(seed)
      // Each begins with a number that others may have drawn, and sees the rows of the rest.
      let claims: HostClaim[] = hostIds.map((hostId) => ({
        hostId,
        host: hostField(random.int(4)),
      }))
      for (let round = 0; round < hostIds.length + 1; round += 1) {
        for (const hostId of hostIds) {
          const kept = claims.find((claim) => claim.hostId === hostId)?.host
          const host = chooseHostField(hostId, claims, kept)
          claims = claims.map((claim) => (claim.hostId === hostId ? { hostId, host } : claim))
        }
      }
      assert.equal(new Set(claims.map(({ host }) => host)).size, hostIds.length)
      for (const { hostId, host } of claims) {
        assert.equal(chooseHostField(hostId, claims, host), host, 'and they stay')
      }
    }),
    { numRuns: 30 },
  )
})

test('a drawn field is free', () => {
  const random = seededRandom(7)
  const taken = new Set<number>()
  for (let count = 0; count < 500; count += 1) {
    const machine = drawMachineField(taken, random)
    assert(!taken.has(machine) && machine > 0xffff)
    taken.add(machine)
    checkNetworkId(drawNetworkId(taken, random))
  }
})
