import type { ResponseHead } from '../http1/response-head.ts'
import type { Memory } from '../net/memory.ts'
import type { BackendConnection } from './backend-connection.ts'

/**
 * The client's side of an exchange: what the exchange tells it. One for HTTP/1.1 connections, one for
 * HTTP/2 streams. Calls come in this order: any number of 1xx heads, one head, data, end; or `failed`
 * instead of a head; or `broken` after one.
 */
export interface Downstream {
  /** False: it takes no data now, and calls `Exchange.responseDrained` when it does. */
  readonly takesResponse: boolean
  /** A head: final, or 1xx. `head` holds during the call only. */
  responseHead(head: ResponseHead): void
  /** memory[start, start + length) of the body; holds during the call only. */
  responseData(memory: Memory, start: number, length: number): void
  /** @param trailer the section with its last empty line. */
  responseEnd(trailer: Buffer | undefined): void
  /** All of this turn has been told: send it. */
  responseFlush(): void
  /** 101 was told: from now on bytes go both ways as they are. `extra`: came behind the head. */
  upgraded(backend: BackendConnection, extra: Buffer, isWebSocket: boolean): void
  /** Nothing was told yet: answer with this status. */
  failed(status: number, code: string, location?: string): void
  /** The response stays without its end. */
  broken(): void
  /** The exchange takes body data again. */
  requestDrained(): void
}
