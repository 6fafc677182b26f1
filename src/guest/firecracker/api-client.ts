import { Agent, request } from 'node:http'
import { startDeadline } from '#base'
import { isConnectionSpoilt, readAnswer } from './api-answer.ts'
import { type ApiCall, encodeCall } from './api-call.ts'
import { FirecrackerError } from './errors.ts'

export interface ApiClientCall {
  readonly signal?: AbortSignal | undefined
  /** For one request and its answer. @default 10_000; a snapshot of much memory wants more */
  readonly deadlineMs?: number
}

const ANSWER_MS = 10_000
const ANSWER_BYTES_MAX = 1 << 20

/** The API of one Firecracker process, over its unix socket. One request at a time, in order. */
export class ApiClient implements Disposable {
  readonly #socketPath: string
  #connections = oneConnection()
  #last: Promise<unknown> = Promise.resolve()

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  /**
   * @returns the value of the answer, undefined where there is none to give.
   * @throws FirecrackerError guest.vmm_call_bad, guest.vmm_refused, guest.vmm_answer_bad,
   *   guest.vmm_gone; BaseError base.deadline_exceeded.
   */
  async send(call: ApiCall, options: ApiClientCall = {}): Promise<unknown> {
    const body = encodeCall(call)
    const before = this.#last
    const { promise: done, resolve: release } = Promise.withResolvers<void>()
    this.#last = done
    try {
      await before
      return await this.#exchange(call, body, options)
    } finally {
      release()
    }
  }

  /** @throws as `send`, for the first request that fails; those after it are not sent. */
  async sendAll(calls: readonly ApiCall[], options: ApiClientCall = {}): Promise<void> {
    for (const call of calls) await this.send(call, options)
  }

  [Symbol.dispose](): void {
    this.#connections.destroy()
  }

  async #exchange(
    call: ApiCall,
    body: Buffer | undefined,
    { signal, deadlineMs = ANSWER_MS }: ApiClientCall,
  ): Promise<unknown> {
    using deadline = startDeadline(`${call.method} ${call.path}`, deadlineMs, { signal })
    deadline.signal.throwIfAborted()
    const answer = await this.#transfer(call, body, deadline.signal).catch((error: unknown) => {
      deadline.signal.throwIfAborted()
      throw error instanceof FirecrackerError ? error : vmmGone(call, error)
    })
    if (isConnectionSpoilt(answer.status, answer.text)) this.#reconnect()
    return readAnswer(call, answer.status, answer.text)
  }

  #transfer(call: ApiCall, body: Buffer | undefined, signal: AbortSignal) {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
    const sent = request({
      socketPath: this.#socketPath,
      agent: this.#connections,
      method: call.method,
      path: call.path,
      signal,
      headers: {
        accept: 'application/json',
        ...(body && { 'content-type': 'application/json', 'content-length': body.length }),
      },
    })
    sent.once('error', reject)
    sent.once('response', (response) => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > ANSWER_BYTES_MAX) sent.destroy(new Error('the answer is too large'))
        else chunks.push(chunk)
      })
      response.once('error', reject)
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      )
    })
    sent.end(body)
    return promise
  }

  #reconnect(): void {
    this.#connections.destroy()
    this.#connections = oneConnection()
  }
}

const oneConnection = () => new Agent({ keepAlive: true, maxSockets: 1 })

function vmmGone(call: ApiCall, cause: unknown): FirecrackerError {
  return new FirecrackerError('guest.vmm_gone', {
    what: 'Firecracker did not answer',
    values: { method: call.method, path: call.path },
    cause,
  })
}
