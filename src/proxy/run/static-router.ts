import type {
  ConnectionFacts,
  Decision,
  Entrance,
  Lease,
  ResponseFacts,
  RouteRequest,
  Router,
  ToMachine,
} from '../route.ts'
import type { StaticConfig, StaticService } from './static-config.ts'

interface Place {
  readonly entrance: Entrance
  readonly targets: readonly ToMachine[]
  next: number
}

/** Nothing is counted: a static file has no limits. One for all. */
const freeLease = (machine: string): Lease => ({
  machine,
  connected: () => undefined,
  responded: (_response: ResponseFacts) => undefined,
  replayBody: () => ({ kind: 'refuse', status: 502, code: 'PA03' }),
  release: () => undefined,
})

/** Routes by a file: each service has its addresses and its machines, taken in turn. For tests, benches and a start. */
export class StaticRouter implements Router {
  readonly #byPort = new Map<number, Place[]>()
  readonly #byEntrance = new Map<Entrance, Place>()
  readonly #services: readonly StaticService[]

  constructor(config: Pick<StaticConfig, 'services'>) {
    this.#services = config.services
    for (const service of config.services) this.#add(service)
  }

  #add(service: StaticService): void {
    for (const port of service.ports) {
      const entrance = entranceOf(service, port)
      const place: Place = {
        entrance,
        next: 0,
        targets: service.machines.map((machine) => ({
          kind: 'machine',
          address: machine.address,
          port: machine.port,
          protocol: entrance.handlers.http ? (service.h2_backend ? 'h2c' : 'h1') : 'tcp',
          lease: freeLease(machine.id ?? `${machine.address}:${machine.port}`),
          keepBodyBytes: service.keep_body_bytes,
        })),
      }
      const places = this.#byPort.get(port.port) ?? []
      places.push(place)
      this.#byPort.set(port.port, places)
      this.#byEntrance.set(entrance, place)
    }
  }

  accept(connection: ConnectionFacts): Entrance | undefined {
    const places = this.#byPort.get(connection.localPort)
    const [first] = places ?? []
    if (places === undefined || first === undefined) return undefined
    return places.length === 1 ? first.entrance : this.#shared(first.entrance)
  }

  #sharedOf = new Map<number, Entrance>()

  /** Several apps on one port: told apart by name. */
  #shared(first: Entrance): Entrance {
    const known = this.#sharedOf.get(first.port)
    if (known !== undefined) return known
    const shared: Entrance = { ...first, app: '', shared: true }
    this.#sharedOf.set(first.port, shared)
    return shared
  }

  named(entrance: Entrance, name: string): Entrance | undefined {
    const app = this.#services.find(({ hosts }) => hosts.includes(name))?.app
    return this.#byPort.get(entrance.port)?.find((place) => place.entrance.app === app)?.entrance
  }

  route(request: RouteRequest): Decision {
    const place = this.#byEntrance.get(request.entrance)
    const target = place?.targets[place.next % place.targets.length]
    if (place === undefined || target === undefined)
      return { kind: 'refuse', status: 503, code: 'PR01' }
    if (request.attempts.length > place.targets.length)
      return { kind: 'refuse', status: 502, code: 'PR03' }
    place.next = (place.next + 1) % place.targets.length
    return target
  }
}

function entranceOf(service: StaticService, port: StaticService['ports'][number]): Entrance {
  const handlers = new Set<string>(port.handlers)
  const rules = Object.entries(service.response_headers).map(
    ([name, value]) => [name.toLowerCase(), value === false ? false : [value].flat()] as const,
  )
  return Object.freeze({
    app: service.app,
    shared: false,
    port: port.port,
    handlers: {
      pgTls: handlers.has('pg_tls'),
      tls: handlers.has('tls') || handlers.has('pg_tls'),
      http: handlers.has('http'),
      proxyProto: handlers.has('proxy_proto') ? service.proxy_proto_version : 0,
    },
    forceHttps: port.force_https,
    alpn: port.alpn ?? (handlers.has('http') ? ['h2', 'http/1.1'] : []),
    tlsMinVersion: 'TLSv1.2',
    tlsMaxVersion: 'TLSv1.3',
    defaultSelfSigned: false,
    idleTimeoutMs: service.idle_timeout_s === undefined ? undefined : service.idle_timeout_s * 1000,
    headersReadTimeoutMs:
      service.headers_read_timeout_s === undefined
        ? undefined
        : service.headers_read_timeout_s * 1000,
    response: {
      headers: new Map(rules as [string, false | string[]][]),
      pristine: service.pristine,
    },
    compress: service.compress,
  } as const)
}
