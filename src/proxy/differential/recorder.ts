import type { Socket } from 'node:net'
import { startMachine } from '../proxy.fixture.ts'
import { manners, readRequests } from './reader.ts'

/** What came to a machine since the last `take`, a text for each connection that spoke. */
export interface Recorder extends AsyncDisposable {
  readonly port: number
  take(): string[]
}

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** A machine that keeps every byte it gets, and answers what reads as a request by the book. */
export async function startRecorder(): Promise<Recorder> {
  const [byTheBook] = manners
  if (byTheBook === undefined) throw new TypeError('no manners')
  const held = new Map<Socket, string>()
  const taken: string[] = []
  const machine = await startMachine((socket) => {
    let unread = ''
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1')
      held.set(socket, (held.get(socket) ?? '') + text)
      const { requests, rest, isBad } = readRequests(unread + text, byTheBook)
      unread = rest
      for (const { line } of requests)
        socket.write(line.startsWith('HEAD ') ? ANSWER.slice(0, -2) : ANSWER)
      if (isBad)
        socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    })
    socket.once('end', () => socket.end())
    socket.once('close', () => {
      const text = held.get(socket)
      if (text !== undefined) taken.push(text)
      held.delete(socket)
    })
  })
  return {
    port: machine.port,
    take() {
      const all = [...taken.splice(0), ...held.values()]
      held.clear()
      return all
    },
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  }
}
