import { isIP } from 'node:net'
import type { BirdReply } from './reply.ts'

/** A BFD session, as `show bfd sessions` lists it. */
export interface BfdSession {
  /** The neighbour's address. */
  readonly address: string
  readonly interface: string
  /** `Up`, `Down`, `Init` or `AdminDown` (RFC 5880, section 4.1). */
  readonly state: string
  /** Between packets of this end, seconds. */
  readonly intervalSeconds: number
  /** Silence of the neighbour after which it counts as gone, seconds. */
  readonly timeoutSeconds: number
}

/** Rows of `show bfd sessions` (code 1020): address, interface, state, since, interval, timeout. */
export function parseBfdSessions(reply: BirdReply): BfdSession[] {
  const sessions: BfdSession[] = []
  for (const { code, text } of reply.lines) {
    const [address = '', device = '', state = '', , interval, timeout] = text.trim().split(/\s+/)
    if (code !== 1020 || isIP(address) === 0) continue // a head
    sessions.push({
      address,
      interface: device,
      state,
      intervalSeconds: Number(interval),
      timeoutSeconds: Number(timeout),
    })
  }
  return sessions
}
