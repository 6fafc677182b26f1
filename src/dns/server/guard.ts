import type { Handler } from '../resolver.ts'
import { RCODE } from '../wire/constants.ts'
import { parseQuery } from '../wire/query.ts'
import { type Channel, failure, writeFailure, writeReply } from '../wire/reply.ts'

/** What a handler throws, or rejects with, goes to `onFault`; the client gets SERVFAIL and the server lives on. */
export function guarded(handle: Handler, onFault: (error: unknown) => void): Handler {
  return (packet, source, channel) => {
    try {
      const reply = handle(packet, source, channel)
      if (!(reply instanceof Promise)) return reply
      const kept = Buffer.from(packet)
      return reply.catch((error: unknown) => {
        onFault(error)
        return serverFailure(kept, channel)
      })
    } catch (error) {
      onFault(error)
      return serverFailure(packet, channel)
    }
  }
}

/** SERVFAIL to a packet that has a header. */
export function serverFailure(packet: Buffer, channel: Channel): Buffer {
  const query = parseQuery(packet)
  return query.kind === 'query'
    ? writeReply(packet, query, failure(RCODE.SERVFAIL), channel)
    : writeFailure(packet, RCODE.SERVFAIL)
}
