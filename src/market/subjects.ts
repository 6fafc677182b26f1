import type { ClientId, HostId, Region } from './host.ts'
import type { AskTarget } from './placement.ts'

/**
 * The market's subjects. Who may use which is enforced by the server (nats-config.ts):
 *
 *   market.ask.region.<region>                        flaps publishes, hosts of that region listen
 *   market.ask.host.<host>                            flaps publishes, that host listens
 *   market.order.<host>                               flaps publishes, that host listens
 *   market.reply.<client>.<placement>.<exchange>.<host>  that host publishes, that flaps listens
 *
 * The last token of a reply is the host, and a host may publish under its own name alone: so a bid
 * needs no signature. A message asks for replies under `market.reply.<client>.<placement>.<exchange>`;
 * the server itself answers there, without a host, when nobody is subscribed.
 */
export const askSubject = (to: AskTarget): string =>
  to.host === undefined ? `market.ask.region.${to.region}` : `market.ask.host.${to.host}`

export const orderSubject = (host: HostId): string => `market.order.${host}`

/** What a host listens to. */
export const hostSubjects = (host: HostId, region: Region) => ({
  asks: [askSubject({ region }), askSubject({ host })],
  orders: orderSubject(host),
})

/** All subjects that a host may publish. */
export const hostReplies = (host: HostId): string => `market.reply.*.*.*.${host}`

/** All subjects that flaps may publish. */
export const CLIENT_SUBJECTS: readonly string[] = [
  'market.ask.region.*',
  'market.ask.host.*',
  'market.order.*',
]

/** What a client listens to. */
export const clientReplies = (client: ClientId): string => `market.reply.${client}.>`

/** Which message of a placement a reply answers: `a0` its first ask, `o1` its first order. */
export type Exchange = `a${number}` | `o${number}`

export const replySubject = (client: ClientId, placement: string, exchange: Exchange): string =>
  `market.reply.${client}.${placement}.${exchange}`

export interface ReplyAddress {
  readonly placement: string
  readonly exchange: string
  /** Undefined: the server itself speaks. */
  readonly host: HostId | undefined
}

/** Undefined: not a subject of replies. */
export function parseReply(subject: string): ReplyAddress | undefined {
  const tokens = subject.split('.')
  const [root, kind, client, placement, exchange, host] = tokens
  if (root !== 'market' || kind !== 'reply' || client === undefined) return undefined
  if (placement === undefined || exchange === undefined || tokens.length > 6) return undefined
  return { placement, exchange, host: host as HostId | undefined }
}

/** The subject of a host's answer; undefined: the message asks for none that a host may give. */
export function answerSubject(reply: string | undefined, host: HostId): string | undefined {
  if (reply === undefined) return undefined
  const address = parseReply(reply)
  return address === undefined || address.host !== undefined ? undefined : `${reply}.${host}`
}

/** Lines of machines that a host of that region may send: `logs.<app>.<region>.<machine>`. */
export const logSubjects = (region: Region): string => `logs.*.${region}.*`

/** Lines as they come, for whoever serves them to organisations. */
export const LOG_LINES = 'logs.*.*.*'

/** With which the API reads the log. Source: NATS JetStream wire API. */
export const LOG_API: readonly string[] = ['$JS.API.>', '$JS.ACK.>']
export const LOG_REPLIES = '_INBOX.>'
