import { errorCode } from '#base'
import type { ClusterKey } from '../api/cluster-key.ts'
import { SECRETS_PORT } from '../api/gateway-port.ts'
import { signedPost } from '../api/signed-post.ts'
import { refuse } from '../errors.ts'
import type { AskApi, MachineAnswer } from './serve-api-socket.ts'

export const MACHINE_API_PATH = '/v1/machine-api'

/** A wait takes a minute. */
const ASK_MS_MAX = 75_000
/** The request did not leave this host. */
const UNSENT = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

export interface GatewayMachineApiOptions {
  readonly hostId: string
  /** On the backhaul, as known now: the nearest first, if that is known. */
  readonly gateways: (signal: AbortSignal) => Promise<readonly string[]>
  /** @default SECRETS_PORT */
  readonly port?: number
  readonly key: ClusterKey
  readonly appOf: (machine: string) => Promise<string | undefined>
}

/** The API, asked for a machine through whichever gateway answers. What may have been done is not asked twice. */
export function gatewayMachineApi(options: GatewayMachineApiOptions): AskApi {
  const { hostId, key, gateways, appOf, port = SECRETS_PORT } = options
  return async (machine, request, signal) => {
    const app = await appOf(machine)
    if (app === undefined) throw refuse('flyd.not_found', 'not_found: machine not found')
    const body = JSON.stringify({ host: hostId, machine, app, ...request })
    for (const address of await gateways(signal)) {
      const host = address.includes(':') ? `[${address}]` : address
      const url = new URL(`http://${host}:${port}${MACHINE_API_PATH}`)
      try {
        const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)])
        return (await signedPost(url, body, { key, signal: within })).result as MachineAnswer
      } catch (error) {
        signal.throwIfAborted()
        if (request.method === 'GET' || isUnsent(error)) continue
        throw error
      }
    }
    throw refuse('flyd.host_unreached', 'unavailable: no gateway answers')
  }
}

const isUnsent = (error: unknown): boolean =>
  errorCode(error) === 'flyd.host_unreached' && UNSENT.has(codeWithin(error))

/** Of the system's error that others were made of. */
function codeWithin(error: unknown): string {
  let code = ''
  for (let at = error; at instanceof Error; at = at.cause) code = errorCode(at) ?? code
  return code
}
