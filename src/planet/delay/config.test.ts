import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { parseDelayConfig } from './config.ts'
import { parseRequest } from './control.ts'
import { DelayError } from './errors.ts'

const end = (tap: string) => ({ netns: '/run/netns/a', tap })
const link = (name: string, ...taps: [string, string]) => ({
  name,
  delayUs: 1000,
  ends: taps.map(end),
})

test('every problem of a configuration is named with its place', () => {
  const config = { links: [{ ...link('a', 'x', 'name-longer-than-15'), delayUs: -1, speed: 3 }] }
  assert.throws(
    () => parseDelayConfig(config),
    ({ code, message }: DelayError) => {
      assert.equal(code, 'delay.config_bad')
      assert.match(message, /\/links\/0\/delayUs must be >= 0/)
      assert.match(message, /\/links\/0\/speed is not known/)
      assert.match(message, /\/links\/0\/ends\/1\/tap/)
      return true
    },
  )
})

test('two links of one name, and one TAP in two links, are refused', () => {
  const config = { links: [link('a', 'x', 'y'), link('a', 'z', 'y')] }
  assert.throws(
    () => parseDelayConfig(config),
    /two links named a; y in \/run\/netns\/a is the end/,
  )
})

test('a whole configuration is taken as it is', () => {
  const config = { links: [link('a', 'x', 'y')], controlSocket: '/run/c' }
  assert.deepEqual(parseDelayConfig(config), config)
})

test('any line on the control socket gives a request or delay.request_bad', () => {
  const lines = fc.oneof(fc.string(), fc.json())
  fc.assert(
    fc.property(lines, (line) => {
      try {
        parseRequest(line)
      } catch (error) {
        assert(error instanceof DelayError && error.code === 'delay.request_bad')
      }
    }),
  )
})
