/**
 * Both ends of many WebSockets, each a process of its own, so that only the proxy's descriptors and memory are the
 * test's: `machine` says on which port it listens, echoes, and answers plain requests; `clients PORT COUNT` says `open` when all stand,
 * `spoken` after each `speak`, when every one has got its echo.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

const UPGRADE = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const AT_ONCE = 200

const [role, port, count] = process.argv.slice(2)
const say = (word: unknown) => process.send?.(word)
process.once('disconnect', () => process.exit())

if (role === 'machine') {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (head: Buffer) => {
      if (!head.includes('websocket')) {
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        return
      }
      socket.write(SWITCHING)
      socket.on('data', (chunk: Buffer) => socket.write(chunk))
      socket.once('end', () => socket.end())
    })
  }).listen(0, '127.0.0.1', AT_ONCE)
  await once(server, 'listening')
  say(server.address())
} else {
  const sockets: Socket[] = []
  while (sockets.length < Number(count)) {
    const left = Number(count) - sockets.length
    const batch = Array.from({ length: Math.min(AT_ONCE, left) }, () =>
      connect(Number(port), '127.0.0.1'),
    )
    for (const socket of batch) socket.write(UPGRADE)
    await Promise.all(batch.map((socket) => once(socket, 'data')))
    sockets.push(...batch)
  }
  say('open')
  process.on('message', async () => {
    await Promise.all(
      sockets.map(async (socket) => {
        socket.write('ping')
        const [echo] = await once(socket, 'data')
        if (String(echo) !== 'ping') throw new Error(`not its echo: ${echo}`)
      }),
    )
    say('spoken')
  })
}
