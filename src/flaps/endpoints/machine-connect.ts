import { Type } from 'typebox'
import { Action } from '#macaroon'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'

/** What the `Upgrade` header of a request for a stream says. */
export const STREAM_PROTOCOL = 'godwit-tcp'

export const connectQuery = Type.Object({ port: Type.Integer({ minimum: 1, maximum: 65_535 }) })

/**
 * In the list of calls for its document and its access; `serve-streams.ts` answers it, as what follows are
 * bytes and no answer.
 */
export const machineConnect = endpoint({
  id: 'Machines_connect',
  method: 'GET',
  path: '/v1/apps/:app/machines/:machine/connect',
  tag: 'Machines',
  summary:
    'A TCP connection to a port of it, as the rest of this one: with `Connection: Upgrade` and `Upgrade: godwit-tcp` the answer is 101, and bytes follow both ways. Port 22 is its SSH server.',
  query: connectQuery,
  answers: { 101: null },
  access: { on: 'machine', action: Action.control },
  limit: 'none',
  example: { query: { port: '22' } },
  async handle() {
    throw refuse(
      'flaps.argument_bad',
      `invalid_argument: this is for streams: send Connection: Upgrade and Upgrade: ${STREAM_PROTOCOL}`,
    )
  },
})

export const machineConnectEndpoints = [machineConnect]
