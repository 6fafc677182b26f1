import type { RequestHead } from '../http1/request-head.ts'
import type { Engine } from './engine.ts'
import type { Exchange } from './exchange.ts'

interface LoggedRequest {
  readonly method: string
  readonly host: string
  readonly target: string
}

/** What figures and the access log get of an exchange. Reused for each of a connection. */
export class ExchangeRecord {
  readonly #engine: Engine
  readonly #client: string
  /** Undefined: the request is none of the sample. */
  #logged: LoggedRequest | undefined
  /** Why the answer was the proxy's own; '' where it was not, or needs no code. */
  code = ''

  constructor(engine: Engine, client: string) {
    this.#engine = engine
    this.#client = client
  }

  /** A request's head was parsed; it holds during the call only. HOT. */
  begin({ method, host, target }: RequestHead): void {
    this.code = ''
    this.#logged = this.#engine.accessLog?.samples() === true ? { method, host, target } : undefined
  }

  /** It was answered, or broke off. HOT. */
  end({ status, startUs, sentBytes, receivedBytes, machine, requestId }: Exchange, app: string) {
    const elapsedUs = (performance.timeOrigin + performance.now()) * 1000 - startUs
    const { counters, accessLog } = this.#engine
    counters.response(app, status, elapsedUs)
    counters.machine(machine, app)?.responses.add(status, elapsedUs)
    if (this.#logged === undefined) return
    accessLog?.add({
      time: new Date().toISOString(),
      app,
      client: this.#client,
      ...this.#logged,
      status,
      machine,
      code: this.code,
      requestId: requestId.toString('latin1'),
      elapsedMs: Math.round(elapsedUs / 10) / 100,
      sentBytes,
      receivedBytes,
    })
    this.#logged = undefined
  }
}
