/**
 * Inside a node: takes connections of a listening socket that was made outside (file descriptor 3), and joins each to
 * an address that only the node reaches.
 */
import { connect, createServer, type Socket } from 'node:net'

const LISTENER_FD = 3
const CONNECT_MS_MAX = 10_000
const [host = '', port = ''] = process.argv.slice(2)

const server = createServer({ allowHalfOpen: true }, (client) => {
  const target = connect({ host, port: Number(port), allowHalfOpen: true })
  target.setTimeout(CONNECT_MS_MAX, () => target.destroy(new Error('nobody answers')))
  target.once('connect', () => target.setTimeout(0))
  join(client, target)
  join(target, client)
})
server.listen({ fd: LISTENER_FD })

function join(from: Socket, to: Socket): void {
  from.pipe(to)
  from.on('error', () => to.destroy()) // either end's fault is the end of both
  from.on('close', () => to.destroySoon())
}
