import type { HandedFlows } from '../datagrams/handed-flows.ts'

/** What two processes of a host's proxy say to each other when one takes over from the other. No I/O. */

/** What a socket is for. `machines` hears what machines answer to UDP; `mesh` is UDP between hosts. */
export type SocketUse = 'tcp' | 'udp' | 'backhaul' | 'mesh' | 'machines'

export interface SocketName {
  readonly use: SocketUse
  /** Empty, and port 0, where there is only one. */
  readonly address: string
  readonly port: number
}

/** A socket in the hands of this process. */
export interface HeldSocket extends SocketName {
  readonly fd: number
}

export type HandoverMessage =
  /** Of the one that runs: so many of its sockets, each with a descriptor of the message, in this order. */
  | {
      readonly type: 'sockets'
      readonly sockets: readonly SocketName[]
      readonly isLast: boolean
      /** It knows `loads` and `taken`, which were not there at first. */
      readonly sharesLoads?: boolean
    }
  /** Of the one that follows: it serves, all but UDP. */
  | { readonly type: 'serving' }
  /** Of the one that runs, which reads no more UDP. */
  | ({ readonly type: 'flows'; readonly isLast: boolean } & HandedFlows)
  /** Of the one that follows: it has all. One that shares no loads hangs up instead. */
  | { readonly type: 'taken' }
  /** Of both, until one ends, the one that follows first: what has changed. */
  | { readonly type: 'loads'; readonly loads: readonly ServiceLoad[] }

/** So much goes to a service of a machine of this host through the process that says it. */
export type ServiceLoad = readonly [
  machine: string,
  protocol: 'tcp' | 'udp',
  internalPort: number,
  count: number,
]

export const encodeMessage = (message: HandoverMessage): Buffer =>
  Buffer.from(JSON.stringify(message))

/** Both are the same program, maybe of two versions. @throws SyntaxError, TypeError: it is none that is known */
export function decodeMessage(bytes: Buffer): HandoverMessage {
  const message = JSON.parse(bytes.toString()) as HandoverMessage
  const { type } = message
  if (type === 'serving' || type === 'taken') return message
  if (type === 'loads' && Array.isArray(message.loads)) return message
  if (type === 'sockets' && Array.isArray(message.sockets)) return message
  if (type === 'flows' && Array.isArray(message.edge) && Array.isArray(message.worker))
    return message
  throw new TypeError(`no message of a takeover: ${type}`)
}

const SOCKETS_PER_MESSAGE = 200
const FLOWS_PER_MESSAGE = 100

/** All sockets, with the descriptors that go with each message. */
export function* socketMessages(
  sockets: readonly HeldSocket[],
): Generator<{ message: HandoverMessage; descriptors: number[] }> {
  for (let at = 0; at === 0 || at < sockets.length; at += SOCKETS_PER_MESSAGE) {
    const some = sockets.slice(at, at + SOCKETS_PER_MESSAGE)
    const names = some.map(({ use, address, port }) => ({ use, address, port }))
    const isLast = at + SOCKETS_PER_MESSAGE >= sockets.length
    yield {
      message: { type: 'sockets', sockets: names, isLast, sharesLoads: true },
      descriptors: some.map(({ fd }) => fd),
    }
  }
}

export function* flowMessages({ edge, worker }: HandedFlows): Generator<HandoverMessage> {
  const count = Math.max(edge.length, worker.length)
  for (let at = 0; at === 0 || at < count; at += FLOWS_PER_MESSAGE) {
    const end = at + FLOWS_PER_MESSAGE
    const part = { edge: edge.slice(at, end), worker: worker.slice(at, end) }
    yield { type: 'flows', ...part, isLast: end >= count }
  }
}
