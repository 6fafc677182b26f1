import { createSocket, type Socket } from 'node:dgram'
import { startDeadline } from '#base'
import { ipv6Bytes } from '#dns'
import { nameOf } from './records.ts'

/** Questions that are under way at once. */
const WINDOW = 64
const ROUND_MS = 120_000

/** Asks AAAA questions of a server on loopback, a window of them at a time; every one must be answered with a record. */
export class LoadClient implements Disposable {
  readonly #socket: Socket
  readonly #questions = new Map<number, Buffer>()
  #onMessage: (message: Buffer) => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setRecvBufferSize(4 << 20)
    socket.on('message', (message) => this.#onMessage(message))
    socket.on('error', () => undefined) // the server is not up yet: who asks waits for an answer
  }

  static async open(port: number): Promise<LoadClient> {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.connect(port, '127.0.0.1', resolve))
    return new LoadClient(socket)
  }

  /** Does the server say within a moment that `name` has `address`? */
  answers(name: string, address: string): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), 500)
      this.#onMessage = (message) => {
        clearTimeout(timer)
        resolve(message.subarray(-16).equals(ipv6Bytes(address)))
      }
      this.#socket.send(question(name), () => undefined)
    })
  }

  /** @throws BaseError base.deadline_exceeded; Error when an answer has no record */
  async ask(count: number, names: number): Promise<void> {
    using deadline = startDeadline('the answers', ROUND_MS)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    deadline.signal.addEventListener('abort', () => reject(deadline.signal.reason))
    let sent = 0
    let answered = 0
    const send = () => {
      const packet = this.#question((sent * 7919) % names)
      packet.writeUInt16BE(sent & 0xffff, 0)
      sent += 1
      this.#socket.send(packet, (error) => error && reject(error))
    }
    this.#onMessage = (message) => {
      if (message.readUInt16BE(6) !== 1) reject(new Error('an answer without a record'))
      answered += 1
      if (answered === count) resolve()
      else if (sent < count) send()
    }
    for (let at = 0; at < WINDOW; at += 1) send()
    await promise
  }

  #question(at: number): Buffer {
    const known = this.#questions.get(at) ?? question(nameOf(at))
    this.#questions.set(at, known)
    return known
  }

  [Symbol.dispose](): void {
    this.#socket.close()
  }
}

function question(name: string): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.of(label.length), Buffer.from(label)])
  const header = Buffer.of(0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)
  return Buffer.concat([header, ...labels, Buffer.of(0, 0, 28, 0, 1)])
}

export async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(resolve))
  return port
}
