import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { constants as system, tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { NativeMemory } from '#native'
import { Epoll } from './epoll.ts'
import {
  epollCreate,
  epollWait,
  epollWaitMs,
  IoVectors,
  ioctl,
  Mapping,
  readv,
  setNetworkNamespace,
  writev,
} from './libc.ts'

const { errno } = system

function withFifo(use: (fd: number) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-fifo-'))
  try {
    execFileSync('mkfifo', [join(folder, 'fifo')])
    const fd = openSync(join(folder, 'fifo'), constants.O_RDWR | constants.O_NONBLOCK)
    try {
      use(fd)
    } finally {
      closeSync(fd)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('a failed call throws its name and the name of its errno', () => {
  const fd = openSync('/dev/null', 'r')
  try {
    assert.throws(() => setNetworkNamespace(fd), {
      code: 'delay.system',
      values: { call: 'setns', errno: 'EINVAL', fd },
    })
    const argument = new NativeMemory(40)
    assert.throws(() => ioctl(fd, 'TUNSETIFF', 0x400454ca, argument.address), {
      code: 'delay.system',
      values: { call: 'ioctl TUNSETIFF', errno: 'ENOTTY', fd },
    })
  } finally {
    closeSync(fd)
  }
})

test('readv and writev give the negated errno instead of throwing, hot or cold', () => {
  const vectors = new IoVectors(1)
  vectors.set(0, new Mapping(16).address, 16)
  withFifo((fd) => {
    for (let round = 0; round < 20_000; round += 1) {
      assert.equal(readv(fd, vectors, 1), -errno.EAGAIN)
      assert.equal(writev(-1, vectors, 1), -errno.EBADF)
    }
  })
})

test('bytes read in two pieces are written again in order', () => {
  using ring = new Mapping(4096)
  const vectors = new IoVectors(2)
  vectors.set(0, ring.address + 4090, 6) // as a frame across the ring's end
  vectors.set(1, ring.address, 6)
  withFifo((fd) => {
    writeSync(fd, 'hello, world')
    assert.equal(readv(fd, vectors, 2), 12)
    assert.equal(writev(fd, vectors, 2), 12)
    const bytes = Buffer.alloc(20)
    assert.equal(readSync(fd, bytes), 12)
    assert.equal(bytes.toString('latin1', 0, 12), 'hello, world')
  })
})

test('discarded memory reads as zeros', () => {
  using memory = new Mapping(4096)
  const vectors = new IoVectors(1)
  vectors.set(0, memory.address, 4)
  withFifo((fd) => {
    writeSync(fd, 'abcd')
    readv(fd, vectors, 1)
    memory.discard()
    writev(fd, vectors, 1)
    const bytes = Buffer.alloc(8)
    assert.equal(readSync(fd, bytes), 4)
    assert.deepEqual(bytes, Buffer.alloc(8))
  })
})

test('epoll tells which descriptor is readable by its token', () => {
  using epoll = new Epoll()
  withFifo((fd) => {
    epoll.add(fd, 0xdead_beef)
    assert.equal(epoll.wait(0), 0)
    writeSync(fd, 'x')
    assert.equal(epoll.wait(1_000_000), 1)
    assert.equal(epoll.token(0), 0xdead_beef)
    epoll.remove(fd)
    assert.equal(epoll.wait(0), 0)
  })
})

test('neither way of waiting wakes before its time', () => {
  const fd = epollCreate()
  const events = new NativeMemory(16)
  try {
    for (const wait of [epollWait, epollWaitMs]) {
      let startMs = 0
      let result = -errno.EINTR
      while (result === -errno.EINTR) {
        startMs = performance.now()
        result = wait(fd, events.address, 1, 1_500)
      }
      assert.equal(result, 0)
      assert(performance.now() - startMs >= 1.5)
    }
  } finally {
    closeSync(fd)
  }
})
