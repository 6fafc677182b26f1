import assert from 'node:assert/strict'
import test from 'node:test'
import { parsePortSpecs } from './port-spec.ts'

const rulesOf = (headers: unknown) => {
  const port = { port: 443, handlers: ['tls', 'http'], http_options: { response: { headers } } }
  return [...(parsePortSpecs([port])[0]?.http.responseHeaders ?? [])]
}

test('rules of response headers: set, several, taken away, and none of other kinds', () => {
  const rules = rulesOf({ 'X-One': 'a', 'X-Two': ['b', 'c'], Server: false, 'X-Three': 7 })
  assert.deepEqual(rules, [
    ['x-one', ['a']],
    ['x-two', ['b', 'c']],
    ['server', null],
  ])
})

test('rules that would not fit an answer are left out', () => {
  const many = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [`x-${index}`, 'v'.repeat(1_000)]),
  )
  const rules = rulesOf(many)
  assert(rules.length >= 15 && rules.length <= 16, `${rules.length} rules`)
  assert.deepEqual(rulesOf({ 'x-long': 'v'.repeat(20_000) }), [])
})
