import { PollHandle } from '#native'
import { DnsError } from '../errors.ts'

/**
 * Calls `onReadable` in each turn of Node's loop in which `fd` has something to read, or an error, until disposed. An
 * immediate, which keeps nobody awake, looks at what libuv noted: `onReadable` runs as every callback of Node does.
 *
 * @throws DnsError dns.watch_failed
 */
export function watchReadable(fd: number, onReadable: () => void): Disposable {
  const poll = PollHandle.open(fd)
  if (typeof poll === 'number') {
    throw new DnsError('dns.watch_failed', {
      what: 'libuv refuses a socket',
      values: { fd, result: poll },
    })
  }
  let isWatched = true
  const look = () => {
    if (!isWatched) return
    setImmediate(look).unref()
    if (!poll.takeReady()) return
    onReadable()
    if (isWatched) poll.goOn()
  }
  setImmediate(look).unref()
  return {
    [Symbol.dispose]() {
      isWatched = false
      poll[Symbol.dispose]()
    },
  }
}
