/**
 * The two ends of a transfer, for tests: `listen` answers each connection's bytes with their SHA-256;
 * `send ADDRESS BYTES` sends that many, and prints what the connection took and what both ends hashed.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'

const PORT = 7000
const CHUNK_BYTES = 1 << 16

/** What `send` prints, as JSON. */
export interface TransferReport {
  /** From the SYN to its answer: one round trip. */
  readonly connectMs: number
  readonly sent: string
  readonly received: string
}

async function listen(): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256')
    socket.on('data', (bytes) => hash.update(bytes))
    socket.on('end', () => socket.end(hash.digest('hex')))
  })
  server.listen(PORT)
  await once(server, 'listening')
  console.log('listening')
}

async function send(address: string, bytes: number): Promise<TransferReport> {
  const hash = createHash('sha256')
  const startMs = performance.now()
  const socket = createConnection({ host: address, port: PORT, allowHalfOpen: true })
  await once(socket, 'connect')
  const connectMs = performance.now() - startMs
  for (let sentBytes = 0; sentBytes < bytes; sentBytes += CHUNK_BYTES) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, bytes - sentBytes), `${sentBytes} `)
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  socket.end()
  const received = (await socket.setEncoding('utf8').toArray()).join('')
  return { connectMs, sent: hash.digest('hex'), received }
}

const [mode, address = '', bytes = '0'] = process.argv.slice(2)
if (mode === 'listen') await listen()
else console.log(JSON.stringify(await send(address, Number(bytes))))
