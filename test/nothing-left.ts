/** The last test of a run: compares the machine with the snapshot that was taken before the first. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { leftovers, takeSnapshot } from './leftovers.ts'

test('the run left no namespace, mount, process, loop device, route or folder behind', () => {
  const file = process.env['GODWIT_SNAPSHOT']
  assert(file !== undefined, 'GODWIT_SNAPSHOT names the snapshot from before the run')
  const before = JSON.parse(readFileSync(file, 'utf8')) as string[]
  assert.deepEqual(leftovers(before, takeSnapshot()), [])
})
