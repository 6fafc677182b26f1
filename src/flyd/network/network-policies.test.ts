import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'node:test'
import { createLog, newMachineId, systemClock, systemRandom } from '#base'
import { ApiClient } from '#corrosion'
import type { MachineNetworks } from '#net6'
import { corrosionPolicies } from './network-policies.ts'
import { SixPnLinks } from './six-pn-links.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const never = new AbortController().signal
const machine = { id: newMachineId(systemRandom), appId: 'app1', metadata: {} }

test('policies are asked for by app; an agent that is away means that they are not known', async (t) => {
  let asked = ''
  const agent = createServer((request, response) => {
    request.on('data', (bytes) => {
      asked += String(bytes)
    })
    request.on('end', () => {
      const rules = JSON.stringify([{ action: 'allow', direction: 'ingress', ports: [] }])
      const lines = [{ row: [1, ['p1', '{"all":true}', rules]] }, { eoq: { time: 0 } }]
      response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    })
  })
  await once(agent.listen(0, '127.0.0.1'), 'listening')
  t.after(() => agent.close())
  const url = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`
  const sourceAt = (at: string) =>
    corrosionPolicies({ client: new ApiClient({ url: at }), clock: systemClock, log })
  assert.deepEqual(await sourceAt(url).policyOf(machine, never), { ingress: [] })
  assert.deepEqual(JSON.parse(asked)[1], ['app1'])
  assert.equal(await sourceAt('http://127.0.0.1:1').policyOf(machine, never), undefined)
  await assert.rejects(sourceAt(url).policyOf(machine, AbortSignal.abort(new Error('enough'))), {
    message: 'enough',
  })
})

test('a machine that was never here is not made while its policies are not known; one that was keeps them', async () => {
  const known = newMachineId(systemRandom)
  const made: unknown[] = []
  const networks = {
    has: (id: string) => id === known,
    make: async (spec: { id: string }) => {
      made.push(spec)
      return { id: spec.id, guest: {}, init: { addresses: [], nameservers: [], hosts: [] } }
    },
  } as unknown as MachineNetworks
  const links = new SixPnLinks(networks, 'container')
  const spec = { networkId: 7, policy: undefined }
  await assert.rejects(links.make({ id: machine.id, ...spec }, never), {
    code: 'flyd.host_unreached',
  })
  await links.make({ id: known, ...spec }, never)
  await links.make({ id: machine.id, networkId: 7, policy: { egress: [] } }, never)
  assert.deepEqual(made, [
    { id: known, networkId: 7, kind: 'container' },
    { id: machine.id, networkId: 7, kind: 'container', policy: { egress: [] } },
  ])
})
