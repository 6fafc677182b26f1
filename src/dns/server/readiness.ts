import { dlopen, getCurrentEventLoop } from 'node:ffi'
import { DnsError } from '../errors.ts'
import { NativeMemory } from './libc.ts'

const UV_POLL = 8
const UV_READABLE = 1
const READY = 0
const QUIET = 1

const { functions: uv } = dlopen(null, {
  uv_handle_size: { return: 'uint64', arguments: ['int32'] },
  uv_poll_init: { return: 'int32', arguments: ['pointer', 'pointer', 'int32'] },
  uv_poll_start: { return: 'int32', arguments: ['pointer', 'int32', 'pointer'] },
  uv_poll_stop: { return: 'int32', arguments: ['pointer'] },
  uv_handle_set_data: { return: 'void', arguments: ['pointer', 'pointer'] },
})

/**
 * Calls `onReadable` in each turn of Node's loop in which `fd` has something to read, or an error, until disposed. libuv watches
 * the descriptor; its callback is its own `uv_handle_set_data`, which puts the callback's status (0) in the first word
 * of the handle. An immediate, which keeps nobody awake, looks at that word: no system call, and `onReadable`
 * runs as every callback of Node does.
 *
 * @throws DnsError dns.watch_failed
 */
export function watchReadable(fd: number, onReadable: () => void): Disposable {
  const handle = new NativeMemory(Number(uv.uv_handle_size(UV_POLL)))
  const { words } = handle
  const start = () => uv.uv_poll_start(handle.address, UV_READABLE, uv.uv_handle_set_data.pointer)
  const started = uv.uv_poll_init(getCurrentEventLoop(), handle.address, fd) || start()
  if (started !== 0) {
    throw new DnsError('dns.watch_failed', {
      what: 'libuv refuses a socket',
      values: { fd, result: started },
    })
  }
  heldByLibuv.push(handle)
  words[0] = QUIET
  let isWatched = true
  const look = () => {
    if (!isWatched) return
    setImmediate(look).unref()
    const status = words[0]
    if (status === QUIET) return
    words[0] = QUIET
    onReadable()
    if (status !== READY && isWatched) start() // an error of the descriptor ends libuv's watch: the read took it away
  }
  setImmediate(look).unref()
  return {
    [Symbol.dispose]() {
      isWatched = false
      uv.uv_poll_stop(handle.address)
    },
  }
}

/** The loop's list of handles leads through their memory until the process ends. */
const heldByLibuv: NativeMemory[] = []
