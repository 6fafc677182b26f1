import { parsePort } from './port-argument.ts'

export type Service = Readonly<Record<string, unknown>>

type Port = Readonly<Record<string, unknown>>

/**
 * Services with these ports (`443:8080/tcp:tls:http`). A service that leads to the same port of the machine keeps its
 * checks and limits and gets the ports that are named; an external port leads to one service only. `-` removes all.
 *
 * @throws ApiInputError cli.bad_value
 */
export function withPorts(
  services: readonly Service[],
  specs: readonly string[],
  chosen: Service,
): readonly Service[] {
  let all: readonly Service[] = services
  const named = new Set<string>()
  for (const spec of specs) {
    if (spec === '-') {
      all = []
      continue
    }
    const parsed = parsePort(spec)
    const { protocol, internal_port: internal } = parsed
    const ports = portsOf(parsed)
    const key = `${protocol}/${internal}`
    const there = all.find(
      (one) => one['protocol'] === protocol && one['internal_port'] === internal,
    )
    all = all.flatMap((one) => {
      if (one['protocol'] !== protocol) return [one]
      const left = withoutPorts(one, ports)
      // The first time that it is named its ports are replaced, then added to.
      if (one === there) return [{ ...one, ports: [...(named.has(key) ? left : []), ...ports] }]
      return left.length === 0 && portsOf(one).length > 0 ? [] : [{ ...one, ports: left }]
    })
    if (there === undefined) all = [...all, { ...parsed, ...chosen }]
    named.add(key)
  }
  return all
}

/** With autostop and autostart as they were chosen. */
export const withService = (service: Service, chosen: Service): Service => ({
  ...service,
  ...chosen,
})

const portsOf = ({ ports }: Service): readonly Port[] =>
  Array.isArray(ports) ? (ports as Port[]) : []

const withoutPorts = (service: Service, taken: readonly Port[]): readonly Port[] =>
  portsOf(service).filter((one) => !taken.some((other) => isSamePort(one, other)))

const isSamePort = (a: Port, b: Port) =>
  a['port'] === b['port'] && a['start_port'] === b['start_port'] && a['end_port'] === b['end_port']
