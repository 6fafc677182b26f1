import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { Directory } from './directory/directory.ts'
import { app, machine, NETWORK, OTHER_NETWORK, PLACE, queryPacket } from './fixture/world.ts'
import { resolver } from './resolver.ts'
import { TYPE } from './wire/constants.ts'
import { InternalZone } from './zone/internal-zone.ts'

const OWNERS = [
  { orgId: 'acme', networkId: NETWORK, prefix: 'fdaa:2:45b' },
  { orgId: 'evil', networkId: OTHER_NETWORK, prefix: 'fdaa:2:999' },
] as const
const owner = fc.constantFrom(...OWNERS)
const index = fc.nat(2)

const row = fc.record({
  kind: fc.constantFrom('app', 'machine'),
  owner,
  index,
  state: fc.constantFrom('started', 'stopped'),
  isGone: fc.boolean(),
})
const question = fc.record({
  kind: fc.constant('question'),
  owner,
  index,
  name: fc.constantFrom('app0.internal', 'app1.internal', 'APP0.internal', 'vms.app0.internal'),
  type: fc.constantFrom(TYPE.AAAA, TYPE.TXT),
  udpBytes: fc.constantFrom(undefined, 512, 1232),
  id: fc.nat(65_535),
})

function apply(directory: Directory, { kind, owner, index, state, isGone }: Row): void {
  const { orgId, networkId, prefix } = owner
  const own = { orgId, networkId }
  const id = `${orgId}${index}`
  const named = app(`app${index}`, { ...own, id })
  if (kind === 'app') {
    directory.apply({ table: 'apps', key: id, row: isGone ? undefined : named })
    return
  }
  const privateIp = `${prefix}:a7b:1:1:${index + 1}:2`
  const row = machine(`m${id}`, { ...own, appId: id, state, privateIp })
  directory.apply({ table: 'machines', key: row.id, row: isGone ? undefined : row })
}
type Row = typeof row extends fc.Arbitrary<infer Drawn> ? Drawn : never

const resolverOf = (directory: Directory) =>
  resolver({
    zone: new InternalZone(directory, PLACE),
    callerOf: (source) => directory.callerOfSource(source),
  })

test('a reply prepared for earlier questions is the one that a new resolver would give, byte for byte', () => {
  let asked = 0
  fc.assert(
    fc.property(fc.array(fc.oneof(row, question), { minLength: 10, maxLength: 60 }), (events) => {
      const directory = new Directory()
      const handle = resolverOf(directory)
      for (const event of events) {
        if (!('name' in event)) {
          apply(directory, event)
          continue
        }
        const { prefix } = event.owner
        const source = `${prefix}:a7b:1:2:${event.index + 1}:2`
        const packet = queryPacket(event.name, event.type, event.udpBytes)
        packet.writeUInt16BE(event.id, 0)
        for (let again = 0; again < 2; again += 1) {
          const fresh = resolverOf(directory)(packet, source, 'udp')
          assert.deepEqual(handle(packet, source, 'udp'), fresh)
        }
        asked += 1
      }
    }),
    { numRuns: 300 },
  )
  assert.ok(asked > 1000)
})
