import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { MACHINE_API_PATH, type MachineAnswer, refuse } from '#flyd'
import type { Directory } from '../directory.ts'
import type { GatewayCall } from '../gateway-api.ts'
import type { MachineSource } from './machine-source.ts'

const askSchema = Type.Object({
  host: Type.String({ maxLength: 64 }),
  machine: Type.String({ maxLength: 64 }),
  app: Type.String({ maxLength: 100 }),
  method: Type.Enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  path: Type.String({ pattern: '^/', maxLength: 8_192 }),
  leaseNonce: Type.Optional(Type.String({ maxLength: 100 })),
  body: Type.String(),
})

/** A little longer than the longest wait. */
const ANSWER_MS_MAX = 70_000
const BODY_BYTES_MAX = 1 << 20
/** Of the API's answer: what a client reads. */
const HEADERS = ['content-type', 'fly-request-id', 'retry-after', 'godwit-source'] as const

export interface MachineApiOptions {
  readonly directory: Directory
  /** The API itself. */
  readonly inject: (
    source: MachineSource,
    request: { method: string; path: string; headers: Record<string, string>; body: string },
  ) => Promise<{ statusCode: number; headers: Readonly<Record<string, unknown>>; body: string }>
}

/**
 * What somebody in a machine asks by its socket: the host says which machine, and the API gets a token for that
 * one alone, which is good only for requests that come this way.
 */
export const machineApiCall = ({ directory, inject }: MachineApiOptions): GatewayCall => ({
  path: MACHINE_API_PATH,
  answerMsMax: ANSWER_MS_MAX,
  bodyBytesMax: BODY_BYTES_MAX,
  async answer(asked, { signal }): Promise<MachineAnswer> {
    if (!Value.Check(askSchema, asked)) {
      throw refuse('flyd.argument_bad', 'invalid_argument: not what this call takes')
    }
    const { machine, app: name, method, path, leaseNonce, body } = asked
    const app = await directory.app(name, signal)
    if (app === undefined) throw refuse('flyd.not_found', 'not_found: app not found')
    const authorization = await directory.createMachineToken(app, machine)
    const headers = {
      authorization,
      ...(leaseNonce === undefined ? {} : { 'fly-machine-lease-nonce': leaseNonce }),
    }
    const answered = await inject({ machine, app: name }, { method, path, headers, body })
    const shown = HEADERS.flatMap((header) => {
      const value = answered.headers[header]
      return value === undefined ? [] : [[header, String(value)] as const]
    })
    return {
      status: answered.statusCode,
      headers: Object.fromEntries(shown),
      body: answered.body,
    }
  },
})
