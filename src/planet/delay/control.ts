import { type Static, Type } from 'typebox'
import type { ErrorJson } from '#base'
import { checkSchema, DelayUs, JitterUs } from './config.ts'
import { DelayError } from './errors.ts'
import type { LinkStats } from './link.ts'

/**
 * The control socket: a unix stream that carries JSON values, one a line. Each request gets one
 * reply, in order:
 *   {"op":"stats"}                                   {"ok":true,"links":[LinkStats, ...]}
 *   {"op":"setDelay","link":"a--b","delayUs":75000}  {"ok":true}
 *   anything else, or a link that is not there       {"ok":false,"error":ErrorJson}
 */
export const ControlRequestSchema = Type.Union([
  Type.Object({ op: Type.Literal('stats') }, { additionalProperties: false }),
  Type.Object(
    {
      op: Type.Literal('setDelay'),
      link: Type.String(),
      delayUs: DelayUs,
      jitterUs: Type.Optional(JitterUs),
    },
    { additionalProperties: false },
  ),
])

export type ControlRequest = Static<typeof ControlRequestSchema>
export type SetDelayRequest = Extract<ControlRequest, { op: 'setDelay' }>

export type ControlReply =
  | { readonly ok: true; readonly links?: readonly LinkStats[] }
  | { readonly ok: false; readonly error: ErrorJson }

export const REQUEST_BYTES_MAX = 4096
/** Enough for the stats of every link that a configuration may have. */
export const REPLY_BYTES_MAX = 1 << 20

/** @throws DelayError delay.request_bad */
export function parseRequest(line: string): ControlRequest {
  return checkSchema(ControlRequestSchema, parseJson(line), 'delay.request_bad')
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new DelayError('delay.request_bad', { what: 'the request is not JSON', cause })
  }
}
