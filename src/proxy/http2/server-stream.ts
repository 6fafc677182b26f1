import type { Memory } from '../net/memory.ts'
import type { RequestLines } from './request-lines.ts'

/** One stream as its connection sees it: a request and its response. Reused after `closed`. */
export abstract class ServerStream {
  id = 0
  /** What may still be sent on it. Below 0 where the peer made the window smaller. */
  sendWindow = 0
  /** What the peer may still send on it, and what it sent and may send again. */
  receiveWindow = 0
  returned = 0
  /** Of the body that Content-Length announced; -1: nothing was announced. */
  bodyLeft = -1
  /** The peer has said all of the request. */
  hasPeerEnded = false
  /** All of the response was said. */
  hasEnded = false
  isOpen = false

  open(id: number, sendWindow: number, receiveWindow: number, hasPeerEnded: boolean): void {
    this.id = id
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
    this.returned = 0
    this.bodyLeft = -1
    this.hasPeerEnded = hasPeerEnded
    this.hasEnded = false
    this.isOpen = true
  }

  /** The request's head, which holds during the call. `hasPeerEnded` says whether more follows. */
  abstract begin(lines: RequestLines): void
  /** memory[start, start + length) of the body; holds during the call only. */
  abstract requestData(memory: Memory, start: number, length: number): void
  /** The request is whole. @param trailer the section with its last empty line */
  abstract requestEnded(trailer: Buffer | undefined): void
  /** There is room again for what `ServerConnection.data` did not take. */
  abstract windowOpened(): void
  /** It is over: both have ended it, or one has reset it, or the connection ends. */
  abstract closed(): void
}
