import { ApiInputError } from './input-error.ts'

const PORT = /^(\d+)(?:-(\d+))?(?::(\d+))?(?:\/([a-z]+)((?::[a-z_]+)*))?$/
const PORT_MAX = 65_535

/**
 * A service of `EXTERNAL[-LAST][:INTERNAL][/PROTOCOL[:HANDLER...]]`, as `443:8080/tcp:tls:http`.
 *
 * @throws ApiInputError cli.bad_value
 */
export function parsePort(
  text: string,
  { autostop, autostart }: { autostop?: string; autostart?: boolean } = {},
): Record<string, unknown> {
  const [whole, first, last, internal, protocol = 'tcp', handlers = ''] = PORT.exec(text) ?? []
  const ports = [first, last, internal].filter((one) => one !== undefined).map(Number)
  const isBad = ports.some((port) => port < 1 || port > PORT_MAX)
  if (whole === undefined || isBad || (protocol !== 'tcp' && protocol !== 'udp')) {
    throw new ApiInputError('cli.bad_value', {
      what: 'not a port',
      values: { value: text },
      fix: 'write one like 443:8080/tcp:tls:http, 80/tcp:http or 8080-8085:80',
    })
  }
  const names = handlers.split(':').filter((one) => one !== '')
  const range =
    last === undefined
      ? { port: Number(first) }
      : { start_port: Number(first), end_port: Number(last) }
  return {
    protocol,
    internal_port: Number(internal ?? first),
    ports: [{ ...range, ...(names.length === 0 ? {} : { handlers: names }) }],
    ...(autostop === undefined ? {} : { autostop }),
    autostart: autostart ?? true,
  }
}
