import assert from 'node:assert/strict'
import test from 'node:test'
import { POLICY_PORTS_MAX } from '#net6'
import { trafficPolicyOf } from './traffic-policy-of.ts'

const machine = { id: '1111aaaa2222bb', appId: 'app1', metadata: { role: 'web', env: 'prod' } }
const https = { protocol: 'tcp', port: 443 } as const
const dns = { protocol: 'udp', port: 53 } as const
const egress = (...ports: object[]) => [{ action: 'allow', direction: 'egress', ports }]
const ingress = (...ports: object[]) => [{ action: 'allow', direction: 'ingress', ports }]
const row = (selector: unknown, rules: unknown, id = 'p1') => ({
  ...{ id, selector: JSON.stringify(selector), rules: JSON.stringify(rules) },
})

test('without policies everything is open, and a policy closes the directions that its rules name', () => {
  assert.deepEqual(trafficPolicyOf([], machine), {})
  assert.deepEqual(trafficPolicyOf([row({ all: true }, egress(https))], machine), {
    egress: [https],
  })
  assert.deepEqual(trafficPolicyOf([row({ all: true }, [...egress(), ...ingress(dns)])], machine), {
    ...{ egress: [], ingress: [dns] },
  })
  assert.deepEqual(trafficPolicyOf([row({ all: true }, [])], machine), {})
})

test('a selector holds when all that it names is so', () => {
  const isHit = (selector: unknown) =>
    trafficPolicyOf([row(selector, egress(https))], machine).egress !== undefined
  assert(isHit({ machines: [{ id: 'other' }, { id: machine.id }] }))
  assert(!isHit({ machines: [{ id: 'other' }] }))
  assert(isHit({ metadata: { role: 'web' } }))
  assert(isHit({ metadata: { role: 'web', env: 'prod' } }))
  assert(!isHit({ metadata: { role: 'web', env: 'test' } }))
  assert(!isHit({ metadata: { zone: 'a' } }))
  assert(isHit({ all: true, machines: [{ id: machine.id }], metadata: { role: 'web' } }))
  assert(!isHit({ all: true, machines: [{ id: machine.id }], metadata: { role: 'db' } }))
  assert(!isHit({ all: true, machines: [{ id: 'other' }], metadata: { role: 'web' } }))
})

test('several policies open together what each of them opens, each port once', () => {
  const rows = [
    row({ all: true }, [...egress(https), ...egress(https, dns)], 'p1'),
    row({ metadata: { role: 'web' } }, egress({ protocol: 'tcp', port: 25 }), 'p2'),
    row({ metadata: { role: 'db' } }, egress({ protocol: 'tcp', port: 5432 }), 'p3'),
  ]
  assert.deepEqual(trafficPolicyOf(rows, machine), {
    egress: [https, dns, { protocol: 'tcp', port: 25 }],
  })
})

test('what this version does not know stops the start, rather than to be left out', () => {
  const odd = [
    row({ all: true }, [{ action: 'allow', direction: 'sideways', ports: [https] }]),
    row({ all: true }, egress({ protocol: 'sctp', port: 1 })),
    row({ all: true }, egress({ protocol: 'tcp', port: 0 })),
    row({ all: true }, egress({ protocol: 'tcp', port: 65_536 })),
    row({ all: true }, [{ direction: 'egress' }]),
    row({ all: true }, [null]),
    row({ all: true }, {}),
    row([], egress(https)),
    row(null, egress(https)),
    { id: 'p1', selector: '{', rules: '[]' },
    row(
      { all: true },
      egress(
        ...Array.from({ length: POLICY_PORTS_MAX + 1 }, (_, at) => ({
          ...{ protocol: 'tcp', port: 1 + at },
        })),
      ),
    ),
  ]
  for (const one of odd) {
    assert.throws(() => trafficPolicyOf([one], machine), { code: 'effect.fatal' }, one.rules)
  }
})
