import { Writable } from 'node:stream'

export interface InputPort {
  /** Sends what the window allows of `bytes`; gives how much that was. */
  send(bytes: Buffer): number
  end(): void
}

/** The input of a stream as a Writable: a write is done when the window has taken all of it. */
export class Input extends Writable {
  readonly #port: InputPort
  #rest: Buffer | undefined
  #done: ((error?: Error | null) => void) | undefined

  constructor(port: InputPort) {
    super({ highWaterMark: 65_536 })
    this.#port = port
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#rest = bytes
    this.#done = done
    this.sendOn()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#port.end()
    done()
  }

  /** The window grew. */
  sendOn(): void {
    if (this.#rest === undefined) return
    this.#rest = this.#rest.subarray(this.#port.send(this.#rest))
    if (this.#rest.length > 0) return
    const done = this.#done
    this.#rest = this.#done = undefined
    done?.()
  }

  /** The other end takes no more: what was not sent is dropped, and nobody waits for it. */
  close(): void {
    const done = this.#done
    this.#rest = this.#done = undefined
    done?.()
    this.destroy()
  }
}
