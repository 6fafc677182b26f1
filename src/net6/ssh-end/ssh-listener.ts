import { once } from 'node:events'
import { dlopen } from 'node:ffi'
import { closeSync, openSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { Net6Error } from '../errors.ts'
import { SSH_NETNS_PATH } from './ssh-end.ts'

const { functions: libc } = dlopen('libc.so.6', {
  setns: { return: 'int32', arguments: ['int32', 'int32'] },
})
const CLONE_NEWNET = 0x4000_0000
const PORT = 22
const BACKLOG = 128

/**
 * Takes connections to port 22 of this host's machines: a connection's own address is the machine's.
 *
 * @throws Net6Error net6.host_unable: the host's end is not there, or somebody listens there already
 */
export async function listenForSsh(onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, onConnection)
  try {
    // Without a host's name listen() makes the socket before it returns: in that namespace, where it stays.
    within(SSH_NETNS_PATH, () => server.listen({ port: PORT, backlog: BACKLOG }))
    await once(server, 'listening') // rejects with an error
  } catch (cause) {
    server.close()
    throw new Net6Error('net6.host_unable', {
      what: 'port 22 of machines cannot be listened at',
      values: { namespace: SSH_NETNS_PATH },
      fix: 'see who listens there: ip netns exec godwit-ssh ss -tlnp',
      cause,
    })
  }
  return server
}

/** Only this thread enters, and nothing else of it runs meanwhile. */
function within(netnsPath: string, work: () => void): void {
  const own = openSync('/proc/thread-self/ns/net', 'r')
  try {
    const other = openSync(netnsPath, 'r')
    try {
      enter(other)
      try {
        work()
      } finally {
        enter(own)
      }
    } finally {
      closeSync(other)
    }
  } finally {
    closeSync(own)
  }
}

function enter(netns: number): void {
  if (libc.setns(netns, CLONE_NEWNET) === 0) return
  throw new Error('the kernel does not let this process enter a network namespace')
}
