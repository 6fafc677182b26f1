import assert from 'node:assert/strict'
import test from 'node:test'
import { queuedCreates } from './half-made.ts'

const poolOf = (messages: string) => `
  devices {
    segment1 {
      type = "thin-pool"
      transaction_id = 3
${messages}
      chunk_size = 128	# 64 Kilobytes
    }
  }
  d.made {
    segment1 {
      type = "thin"
      transaction_id = 2
    }
  }`

test('the volumes that LVM has still to tell the kernel of are read of its metadata, of all pools', () => {
  const create = (number: number, name: string) =>
    `\t\tmessage${number} {\n\t\t\tcreate = "${name}"\n\t\t}`
  const two = `${create(1, 'd.one')}\n\n${create(2, 'd.two')}`
  assert.deepEqual(queuedCreates(poolOf(two) + poolOf(create(1, 't.mend-1'))), [
    ...['d.one', 'd.two', 't.mend-1'],
  ])
})

test('a volume that LVM has still to have removed is none that it has to make', () => {
  assert.deepEqual(queuedCreates(poolOf('\t\tmessage1 {\n\t\t\tdelete = 3\n\t\t}')), [])
  assert.deepEqual(queuedCreates(poolOf('')), [])
})
