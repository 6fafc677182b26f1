import type { FastifyInstance, FastifyRequest } from 'fastify'

/** The machine that a request comes from: through its socket, its host and a gateway's API for hosts. */
export interface MachineSource {
  readonly machine: string
  readonly app: string
}

const PREFIX = 'machine:'

/** What no connection over a network can have for an address. */
export const addressOfSource = ({ machine, app }: MachineSource): string =>
  `${PREFIX}${machine}:${app}`

/** Undefined: it came over a network. */
export function sourceOf({ raw }: FastifyRequest): MachineSource | undefined {
  const address = raw.socket.remoteAddress ?? ''
  if (!address.startsWith(PREFIX)) return undefined
  const [machine = '', app = ''] = address.slice(PREFIX.length).split(':')
  return { machine, app }
}

/** Puts a request to this server as from a machine. */
export async function injectAsMachine(
  server: FastifyInstance,
  source: MachineSource,
  request: {
    method: string
    path: string
    headers: Readonly<Record<string, string>>
    body: string
  },
) {
  const { method, path, headers, body } = request
  return await server.inject({
    method: method as 'GET',
    url: path,
    headers,
    remoteAddress: addressOfSource(source),
    ...(body === '' ? {} : { payload: body }),
  })
}
