import type { Ending } from './answers.ts'
import type { AgentError } from './errors.ts'
import { Input, type InputPort } from './input.ts'
import { Output } from './output.ts'

/** What the agent gives a stream to act with. */
export interface StreamPort extends InputPort {
  consumed(part: number, bytes: number): void
  abandon(): void
}

/** One stream of a session: Node's streams around what the core says of its id. */
export class AgentStream {
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  /** @throws AgentError guest.channel_lost, guest.protocol_broken. */
  readonly ended: Promise<Ending>
  readonly #settle: { resolve: (ending: Ending) => void; reject: (error: AgentError) => void }

  constructor(port: StreamPort) {
    this.stdin = new Input(port)
    this.stdout = new Output((bytes) => port.consumed(1, bytes))
    this.stderr = new Output((bytes) => port.consumed(2, bytes))
    const { promise, resolve, reject } = Promise.withResolvers<Ending>()
    this.ended = promise
    this.#settle = { resolve, reject }
    promise.catch(() => undefined) // whoever awaits it learns; a stream nobody awaits may end badly
  }

  outputOf(part: number): Output | undefined {
    return part === 1 ? this.stdout : part === 2 ? this.stderr : undefined
  }

  close(ending: Ending): void {
    this.end()
    this.#settle.resolve(ending)
  }

  /** Nothing more comes; what has come can still be read. */
  end(): void {
    this.stdin.close()
    this.stdout.endSoon()
    this.stderr.endSoon()
  }

  fail(error: AgentError): void {
    for (const stream of [this.stdin, this.stdout, this.stderr]) {
      if (stream.listenerCount('error') === 0) stream.on('error', () => undefined) // `ended` tells
      stream.destroy(error)
    }
    this.#settle.reject(error)
  }
}
