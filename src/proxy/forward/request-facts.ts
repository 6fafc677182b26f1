import type { RequestHead } from '../http1/request-head.ts'
import type { Attempt, ConnectionFacts, Entrance, RouteRequest } from '../route.ts'

/** What the router is told of one connection's requests: one object, refilled for each. HOT. */
export class HttpFacts implements RouteRequest {
  entrance: Entrance
  readonly connection: ConnectionFacts
  readonly kind = 'http'
  readonly isTls: boolean
  readonly serverName: string
  attempts: readonly Attempt[] = []
  #head: RequestHead | undefined
  #requestId: Buffer | undefined
  #controller: AbortController | undefined

  constructor(entrance: Entrance, connection: ConnectionFacts, isTls: boolean, serverName: string) {
    this.entrance = entrance
    this.connection = connection
    this.isTls = isTls
    this.serverName = serverName
  }

  begin(head: RequestHead, requestId: Buffer, attempts: readonly Attempt[]): void {
    this.#head = head
    this.#requestId = requestId
    this.attempts = attempts
    this.#controller = undefined
  }

  get method(): string {
    return this.#head?.method ?? ''
  }
  get host(): string {
    return this.#head?.host ?? ''
  }
  get target(): string {
    return this.#head?.target ?? ''
  }
  get requestId(): string {
    return this.#requestId?.toString('latin1') ?? ''
  }
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }
  header(name: string): string | undefined {
    return this.#head?.lines.find(name)
  }

  /** Tells whoever waits for a decision that it is not needed any more. */
  abort(): void {
    this.#controller?.abort()
  }
}
