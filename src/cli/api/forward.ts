import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Argument, type Command, Option } from 'commander'
import { interruption } from '../interruption.ts'
import { type AppCommandOptions, type AppSession, withApp } from './app-command.ts'
import { appOption } from './app-option.ts'
import { chooseMachine, type MachineChoice, withMachineChoice } from './choose-machine.ts'
import { withConnection } from './connection.ts'
import { ApiInputError } from './input-error.ts'

interface ForwardOptions extends AppCommandOptions, MachineChoice {
  readonly bindAddr: string
  readonly quiet?: boolean
}

const PORTS = /^(\d{1,5})(?::(\d{1,5}))?$/
const PORT_MAX = 65_535

/** Makes a command forward ports, when it is given some. */
export function withForwarding(command: Command): Command {
  command
    .addArgument(new Argument('[ports]', 'LOCAL:REMOTE, or one port for both; LOCAL 0: any'))
    .addArgument(new Argument('[host]', 'a machine, as its id or a name of the private network'))
    .addOption(appOption())
    .addOption(new Option('-b, --bind-addr <address>', 'where it listens').default('127.0.0.1'))
    .option('-j, --json', 'say as JSON where it listens')
    .option('-q, --quiet', 'say nothing')
  withConnection(withMachineChoice(command)).addHelpText(
    'after',
    `
Examples:
  $ godwit proxy 15432:5432 -a db
  $ godwit proxy 8080 nrt.web.internal -a web
  $ godwit proxy 0:22 148ed599c14189 -a web`,
  )
  return command.action(
    async (ports: string | undefined, host: string | undefined, options: ForwardOptions) => {
      if (ports === undefined) return command.help({ error: true })
      await forward(parsePorts(ports), host, options)
    },
  )
}

/** @throws ApiInputError cli.bad_value */
export function parsePorts(text: string): { local: number; remote: number } {
  const [whole, local = '', remote = local] = PORTS.exec(text) ?? []
  const ports = { local: Number(local), remote: Number(remote) }
  const isGood = ports.local <= PORT_MAX && ports.remote > 0 && ports.remote <= PORT_MAX
  if (whole !== undefined && isGood) return ports
  throw new ApiInputError('cli.bad_value', {
    what: 'not a pair of ports',
    values: { value: text },
    fix: 'write one like 15432:5432, or 5432 for the same on both sides',
  })
}

/** `ID`, `ID.vm.APP.internal`, `REGION.APP.internal`, `APP.internal`. */
export function machineOfHost(host: string, app: string): MachineChoice {
  const name = host.toLowerCase()
  const [id] = /^[0-9a-f]{14}(?=$|\.vm\.)/.exec(name) ?? []
  if (id !== undefined) return { machine: id }
  if (name === `${app}.internal` || name === `top1.nearest.of.${app}.internal`) return {}
  const region = name.endsWith(`.${app}.internal`) ? name.slice(0, -`.${app}.internal`.length) : ''
  if (/^[a-z]{3}$/.test(region)) return { region }
  throw new ApiInputError('cli.bad_value', {
    what: `not a machine of ${app}`,
    values: { host },
    fix: `give an id, REGION.${app}.internal or ${app}.internal`,
  })
}

async function forward(
  { local, remote }: { local: number; remote: number },
  host: string | undefined,
  options: ForwardOptions,
): Promise<void> {
  await withApp(options, async (session) => {
    const choice = host === undefined ? options : machineOfHost(host, session.app)
    const { id, region } = await chooseMachine(session, choice)
    const sockets = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      void carry(socket, { session, machine: id, port: remote })
    })
    await listen(server, local, options.bindAddr)
    const { address, port } = server.address() as AddressInfo
    if (options.json) process.stdout.write(`${JSON.stringify({ address, port, machine: id })}\n`)
    else if (!options.quiet) {
      process.stderr.write(`${address}:${port} leads to port ${remote} of ${id} in ${region}\n`)
    }
    const stopping = interruption()
    await new Promise<void>((resolve) => stopping.addEventListener('abort', () => resolve()))
    for (const socket of sockets) socket.destroy()
    server.close()
  })
}

async function carry(
  socket: Socket,
  { session, machine, port }: { session: AppSession; machine: string; port: number },
): Promise<void> {
  socket.on('error', () => socket.destroy())
  try {
    const stream = await session.client.connect(session.app, machine, port)
    if (socket.destroyed) return void stream.destroy()
    const { joinDuplex } = await import('#ssh')
    joinDuplex(socket, stream)
  } catch (error) {
    process.stderr.write(`warning: ${(error as Error).message}\n`)
    socket.destroy()
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new ApiInputError('cli.bad_value', {
          what: 'cannot listen on this port',
          values: { address: host, port, why: cause.code },
          fix: 'give another LOCAL, or 0 for any that is free',
          cause,
        }),
      ),
    )
    server.listen(port, host, resolve)
  })
}
