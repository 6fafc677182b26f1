import assert from 'node:assert/strict'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import test from 'node:test'
import { pollUntil } from '#base'
import { answer, errno, NativeMemory, openLibc, PollHandle } from './index.ts'

const { functions: libc } = openLibc({
  close: { return: 'int32', arguments: ['int32'] },
  eventfd: { return: 'int32', arguments: ['uint32', 'int32'] },
  read: { return: 'int32', arguments: ['int32', 'pointer', 'int32'] },
})
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer)

test('a call that fails answers its negated errno, one that does not its result', () => {
  assert.equal(answer(libc.close(-1)), -constants.errno.EBADF)
  assert.equal(errno(), constants.errno.EBADF)
  const fd = answer(libc.eventfd(7, 0))
  assert.ok(fd > 0)
  closeSync(fd)
})

test('C writes to memory that JavaScript reads', () => {
  const fd = answer(libc.eventfd(7, 0))
  const memory = new NativeMemory(8)
  assert.equal(answer(libc.read(fd, memory.address, 8)), 8)
  assert.deepEqual([memory.words[0], memory.bytes[0]], [7, 7])
  closeSync(fd)
})

test('a watched descriptor is told as ready each time that it is, and not before', async () => {
  const fd = answer(libc.eventfd(0, 0))
  const poll = PollHandle.open(fd)
  assert.ok(typeof poll !== 'number')
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  await turn()
  assert.equal(poll.takeReady(), false)
  for (let round = 0; round < 3; round += 1) {
    writeSync(fd, ONE)
    await pollUntil('the descriptor to be ready', () => poll.takeReady(), { deadlineMs: 10_000 })
    readSync(fd, new Uint8Array(8))
    poll.goOn()
    await turn()
    poll.takeReady() // a turn of the loop between the note and the read may have noted it again
    await turn()
    assert.equal(poll.takeReady(), false)
  }
  poll[Symbol.dispose]()
  closeSync(fd)
})

test('what libuv cannot watch is refused with its errno', () => {
  const fd = openSync('/proc/self/exe', 'r')
  assert.equal(PollHandle.open(fd), -constants.errno.EPERM)
  closeSync(fd)
})
