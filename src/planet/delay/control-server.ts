import { once } from 'node:events'
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { GodwitError } from '#base'
import {
  type ControlReply,
  type ControlRequest,
  parseRequest,
  REQUEST_BYTES_MAX,
} from './control.ts'

const CONNECTIONS_MAX = 16
const IDLE_MS_MAX = 60_000

export interface ControlServer {
  /** Ends every connection and removes the socket's file. */
  close(): void
}

/**
 * Answers requests on the unix socket `path`, which only this user may open. A file that an earlier
 * process left there is replaced: two processes cannot be attached to the same TAPs anyway.
 */
export async function serveControl(
  path: string,
  answer: (request: ControlRequest) => ControlReply,
): Promise<ControlServer> {
  rmSync(path, { force: true })
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serveConnection(socket, answer)
  })
  server.maxConnections = CONNECTIONS_MAX
  server.listen(path)
  await once(server, 'listening')
  chmodSync(path, 0o600)
  return {
    close() {
      server.close() // unlinks the file
      for (const socket of sockets) socket.destroy()
    },
  }
}

function serveConnection(socket: Socket, answer: (request: ControlRequest) => ControlReply): void {
  let pending = ''
  socket.setEncoding('utf8')
  socket.setTimeout(IDLE_MS_MAX, () => socket.destroy())
  socket.on('error', () => socket.destroy()) // the client went away: nothing is owed to it
  socket.on('data', (text: string) => {
    const lines = (pending + text).split('\n')
    pending = lines.pop() ?? ''
    for (const line of lines) socket.write(`${JSON.stringify(answerLine(line, answer))}\n`)
    const isSlow = socket.writableLength > socket.writableHighWaterMark
    if (pending.length > REQUEST_BYTES_MAX || isSlow) socket.destroy()
  })
}

function answerLine(line: string, answer: (request: ControlRequest) => ControlReply): ControlReply {
  try {
    return answer(parseRequest(line))
  } catch (error) {
    if (!(error instanceof GodwitError)) throw error
    return { ok: false, error: error.toJSON() }
  }
}
