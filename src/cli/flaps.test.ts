import assert from 'node:assert/strict'
import test from 'node:test'
import { allEndpoints } from '#flaps'
import { flapsCommand } from './flaps.ts'

test('godwit flaps openapi prints a document with every call in it', async () => {
  let printed = ''
  await flapsCommand((text) => {
    printed += text
  }).parseAsync(['openapi'], { from: 'user' })
  const { openapi, paths } = JSON.parse(printed) as {
    openapi: string
    paths: Record<string, Record<string, unknown>>
  }
  assert.match(openapi, /^3\.1\./)
  const count = Object.values(paths).reduce((sum, methods) => sum + Object.keys(methods).length, 0)
  assert.equal(count, allEndpoints.length)
})
