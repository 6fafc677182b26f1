import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Duplex, duplexPair } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import type { Log } from '#base'
import { answerFile } from './file-answer.ts'
import { FileSource, type FileSourceOptions } from './file-source.ts'
import { readOrder, STATIC_HEADER, STATIC_MISS } from './static-order.ts'

/** Files that are read from machines at one time, each through a piece of 128 KiB. */
export const READERS_MAX = 256

/**
 * Serves files of this host's machines over HTTP/1.1, to proxies alone: it listens nowhere, connections are handed to it.
 * A file that is not there is a 404 that says so in a header; whoever asked goes to the app then.
 */
export class StaticsServer implements Disposable {
  readonly #source: FileSource
  readonly #log: Log
  #readers = 0
  readonly #machines = new WeakMap<object, string>()
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => {
      this.#log.debug({ err: error }, 'a file broke off')
      response.destroy()
    })
  })

  constructor(options: FileSourceOptions) {
    this.#source = new FileSource(options)
    this.#log = options.log
  }

  /** The other end of a connection to a machine's files. */
  connect(machine: string): Duplex {
    const [ours, theirs] = duplexPair()
    this.#machines.set(ours, machine)
    this.#server.emit('connection', ours)
    return theirs
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const header = (name: string): string | undefined => {
      const value = request.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    }
    const file = await this.#find(request, header(STATIC_HEADER))
    // Only a request that is whole can be sent to the app.
    request.resume()
    await finished(request, { writable: false })
    if (file === undefined) {
      response.writeHead(404, { [STATIC_HEADER]: STATIC_MISS, 'content-length': '0' }).end()
      return
    }
    const { status, headers, start, end } = answerFile(file.facts, header)
    const isRead = !file.isKept && start < end && request.method !== 'HEAD'
    if (isRead && this.#readers >= READERS_MAX) {
      response.writeHead(503, { 'retry-after': '1', 'content-length': '0' }).end()
      return
    }
    response.writeHead(status, headers)
    if (request.method === 'HEAD' || start === end) response.end()
    else await this.#send(file.read(start, end), response)
  }

  async #send(parts: AsyncIterable<Buffer>, response: ServerResponse): Promise<void> {
    this.#readers += 1
    try {
      await pipeline(parts, response)
    } finally {
      this.#readers -= 1
    }
  }

  async #find(request: IncomingMessage, text: string | undefined) {
    const order = readOrder(text)
    const machine = this.#machines.get(request.socket)
    if (order === undefined || machine === undefined) return undefined
    try {
      return await this.#source.find(machine, order.root, order.path)
    } catch (error) {
      this.#log.debug({ err: error, machine }, 'the files of a machine cannot be read')
      return undefined // the app may know better
    }
  }

  [Symbol.dispose](): void {
    this.#server.closeAllConnections()
    this.#source[Symbol.dispose]()
  }
}
