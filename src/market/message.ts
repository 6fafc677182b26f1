import { type Static, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Answer, Bid } from './bid.ts'
import { MarketError } from './errors.ts'
import { TOKEN_PATTERN } from './host.ts'
import { asRequest, type PlacementRequest, placementRequestSchema } from './placement-request.ts'
import { REFUSAL_REASONS, type Refusal } from './refusal.ts'

/**
 * The market's messages: JSON, each with the version of the whole set. A host that reads another
 * version refuses as `malformed`: a constraint that it does not know must not be overlooked.
 */
export const MESSAGE_VERSION = 1
export const MESSAGE_BYTES_MAX = 64 << 10
const TTL_MS_MAX = 600_000

const v = Type.Literal(MESSAGE_VERSION)
const id = Type.String({ minLength: 1, maxLength: 128 })
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const ratio = Type.Number({ minimum: 0, maximum: 1_000_000 })
const refusalSchema = Type.Object({
  reason: Type.Union(REFUSAL_REASONS.map((reason) => Type.Literal(reason))),
  asked: Type.Optional(Type.Number({ minimum: 0 })),
  free: Type.Optional(Type.Number({ minimum: 0 })),
})
const bidSchema = Type.Object({
  host: Type.String({ pattern: TOKEN_PATTERN }),
  region: Type.String({ pattern: TOKEN_PATTERN }),
  utilisation: Type.Object({ cpu: ratio, memory: ratio, machines: ratio, volume: ratio }),
  appMachines: count,
  hasImage: Type.Boolean(),
})

const askSchema = Type.Object({ v, type: Type.Literal('ask'), request: placementRequestSchema })
const answerSchema = Type.Union([
  Type.Object({ v, type: Type.Literal('bid'), bid: bidSchema }),
  Type.Object({ v, type: Type.Literal('refusal'), refusal: refusalSchema }),
])
const orderSchema = Type.Union([
  Type.Object({
    v,
    type: Type.Literal('reserve'),
    reservation: id,
    ttlMs: Type.Integer({ minimum: 1, maximum: TTL_MS_MAX }),
    request: placementRequestSchema,
  }),
  Type.Object({ v, type: Type.Literal('cancel'), reservation: id }),
])
const orderAnswerSchema = Type.Union([
  Type.Object({ v, type: Type.Literal('reserved'), reservation: id }),
  Type.Object({ v, type: Type.Literal('refused'), reservation: id, refusal: refusalSchema }),
])

export type Order =
  | {
      readonly type: 'reserve'
      readonly reservation: string
      readonly ttlMs: number
      readonly request: PlacementRequest
    }
  | { readonly type: 'cancel'; readonly reservation: string }

export interface OrderAnswer {
  readonly reservation: string
  readonly refusal?: Refusal | undefined
}

const encode = (message: object): string => JSON.stringify({ v: MESSAGE_VERSION, ...message })

export const encodeAsk = (request: PlacementRequest): string => encode({ type: 'ask', request })
export const encodeAnswer = (answer: Answer): string => encode(answer)
export const encodeOrder = (order: Order): string => encode(order)
export const encodeOrderAnswer = ({ reservation, refusal }: OrderAnswer): string =>
  encode(
    refusal === undefined
      ? { type: 'reserved', reservation }
      : { type: 'refused', reservation, refusal },
  )

/** Each of these: @throws MarketError market.message_malformed, and nothing else. */
export const decodeAsk = decoder('ask', askSchema, ({ request }) => asRequest(request))
export const decodeOrder = decoder('order', orderSchema, (order) => order as unknown as Order)

export const decodeAnswer = decoder(
  'answer',
  answerSchema,
  (answer): Answer =>
    answer.type === 'refusal'
      ? { type: 'refusal', refusal: asRefusal(answer.refusal) }
      : { type: 'bid', bid: answer.bid as unknown as Bid },
)

export const decodeOrderAnswer = decoder('answer to an order', orderAnswerSchema, (answer) => {
  const { reservation } = answer
  const refusal = answer.type === 'refused' ? asRefusal(answer.refusal) : undefined
  return { reservation, refusal } satisfies OrderAnswer
})

/** The schema lets only the reasons through. */
const asRefusal = (refusal: Static<typeof refusalSchema>): Refusal => refusal as Refusal

function decoder<Schema extends TSchema, Value>(
  name: string,
  schema: Schema,
  read: (message: Static<Schema>) => Value,
): (bytes: Uint8Array) => Value {
  const compiled = Compile(schema)
  return (bytes) => {
    if (bytes.byteLength > MESSAGE_BYTES_MAX) throw malformed(name, 'it is too large')
    const message = parseJson(name, bytes)
    if (compiled.Check(message)) return read(message as Static<Schema>)
    const [first] = compiled.Errors(message)
    throw malformed(name, `${first?.instancePath ?? ''} ${first?.message ?? ''}`)
  }
}

function parseJson(name: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw malformed(name, cause.message)
  }
}

function malformed(name: string, why: string): MarketError {
  return new MarketError('market.message_malformed', {
    what: 'not a message of the market',
    values: { expected: name, version: MESSAGE_VERSION, why },
  })
}
