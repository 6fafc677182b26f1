import assert from 'node:assert/strict'
import test from 'node:test'
import { findPool, mapperName, parsePoolStatus } from './pool-status.ts'
import { parseThinUsage } from './thin-usage.ts'

const broken = { code: 'volume.pool_broken' }
const parse = (text: string) => parsePoolStatus(text, 'g/p')

test('the status of a pool gives its shares, also when it is full', () => {
  const line = '0 966656 thin-pool 21 112/1024 5/7552 - rw discard_passdown queue_if_no_space - 256'
  assert.deepEqual(parse(line), {
    transaction: '21',
    metadataUsedBlocks: 112,
    metadataTotalBlocks: 1024,
    usedBlocks: 5,
    totalBlocks: 7552,
    mode: 'rw',
  })
  assert.equal(parse(line.replace(' rw ', ' out_of_data_space ')).mode, 'out_of_data_space')
})

test('a pool that failed, is read-only, needs a check or is no pool is broken, with the way to mend it', () => {
  for (const text of [
    '0 966656 thin-pool Fail',
    '0 966656 thin-pool 21 112/1024 5/7552 - ro discard_passdown queue_if_no_space - 256',
    '0 966656 thin-pool 21 112/1024 5/7552 - rw discard_passdown error_if_no_space needs_check 256',
    '0 966656 linear',
    '',
  ]) {
    assert.throws(() => parse(text), { ...broken, message: /lvconvert --repair g\/p/ }, text)
  }
})

test('the pool is found among others, whichever of its two devices the kernel has', () => {
  const others = 'g-p2: 0 1 thin-pool 1\ng--p: 0 1 thin-pool 2\n'
  assert.throws(() => findPool(others, { group: 'g', pool: 'p' }), broken)
  const names = { group: 'g', pool: 'p' }
  assert.equal(findPool(`${others}g-p: 0 1 thin-pool 3`, names).status, '0 1 thin-pool 3')
  assert.equal(findPool(`${others}g-p-tpool: 0 1 thin-pool 4`, names).name, 'g-p-tpool')
})

test('a hyphen in a name is doubled, so that two names never meet in one', () => {
  assert.equal(mapperName('a-b', 'd.vol.1'), 'a--b-d.vol.1')
  assert.notEqual(mapperName('a-b', 'c'), mapperName('a', 'b-c'))
})

test('what thin_ls prints is read by number of the device', () => {
  const usage = parseThinUsage('  1   512   512\n  2  512    0\n\n')
  assert.deepEqual(usage.get(2), { mappedBlocks: 512, exclusiveBlocks: 0 })
  assert.equal(usage.size, 2)
})
