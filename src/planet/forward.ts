import { createServer, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type CommandRecord, startCommand } from './commands.ts'
import { PlanetError } from './errors.ts'
import type { PlanetNode } from './node.ts'

const PROGRAM = fileURLToPath(new URL('forward-main.ts', import.meta.url))
const LOOPBACK = '127.0.0.1'

export interface Forward {
  /** On this machine's loopback. 0: any that is free. */
  readonly port: number
  /** As the node reaches it. */
  readonly target: { readonly host: string; readonly port: number }
}

/**
 * Makes a server inside of a planet reachable from this machine: a command of a node, which takes over a socket that
 * listens on this machine's loopback. It ends as other commands do, and with the node.
 *
 * @returns the port on loopback
 * @throws PlanetError planet.port_taken, planet.command_exists, planet.node_down
 */
export async function startForward(
  node: PlanetNode,
  name: string,
  { port, target }: Forward,
): Promise<{ port: number; command: CommandRecord }> {
  const server = await listen(port)
  try {
    const address = server.address()
    const taken = typeof address === 'object' && address !== null ? address.port : port
    const args = [PROGRAM, target.host, String(target.port)]
    const line = {
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', ...args],
    }
    const command = await startCommand(node, name, line, {}, [fdOf(server)])
    return { port: taken, command }
  } finally {
    server.close() // the command has the socket by now
  }
}

/** Node's own handle of the socket; it has no public name. */
function fdOf(server: Server): number {
  const { _handle: handle } = server as unknown as { _handle?: { fd?: number } }
  if (handle?.fd !== undefined && handle.fd >= 0) return handle.fd
  throw new PlanetError('planet.system', { what: 'a listening socket has no file descriptor' })
}

function listen(port: number): Promise<Server> {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new PlanetError('planet.port_taken', {
          what: 'a port of this machine cannot be had',
          values: { port, why: (cause as NodeJS.ErrnoException).code },
          fix: 'see who has it (ss -ltnp), or choose another one',
          cause,
        }),
      ),
    )
    server.listen(port, LOOPBACK, () => resolve(server))
  })
}
