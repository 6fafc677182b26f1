/**
 * A web server that answers every request with the name of the node it runs in: makes visible which
 * host an anycast address led to. Run inside a node: `whoami-server.ts PORT`.
 */
import { createServer } from 'node:http'

const DEFAULT_PORT = 8080
const port = Number(process.argv[2] ?? DEFAULT_PORT)
const name = process.env['GODWIT_NODE'] ?? 'nowhere'

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'text/plain')
  response.setHeader('connection', 'close') // the next request may be routed to another host
  response.end(`${name}\n`)
})
server.listen({ port, host: '::' }, () => console.log(`${name} listens on port ${port}`))
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))
