import { nearest } from '#base'
import type { AppConfig, HttpService, Port, Service } from '../app-config.ts'
import type { Problems } from '../problem.ts'
import { checkHttpCheck, checkMachineChecks, checkServiceTiming } from './check-checks.ts'

const HANDLERS = ['http', 'tls', 'tcp', 'pg_tls', 'proxy_proto'] as const
const PORT_MAX = 65_535
/** The proxy leaves out what goes beyond: proxy/routing-table/port-spec.ts. */
const HEADERS_BYTES_MAX = 16 << 10

/** `[http_service]` and `[[services]]`, with their ports and checks. */
export function checkServices(
  { http_service: http, services = [] }: AppConfig,
  problems: Problems,
): void {
  if (http !== undefined) checkHttpService(http, problems)
  for (const [index, service] of services.entries())
    checkService(service, `/services/${index}`, problems)
}

function checkHttpService(service: HttpService, problems: Problems): void {
  checkShared(service, '/http_service', problems)
  checkHttpOptions(service.http_options, '/http_service/http_options', problems)
  for (const [index, check] of (service.checks ?? []).entries()) {
    const path = `/http_service/checks/${index}`
    checkServiceTiming(check, path, problems)
    checkHttpCheck(check, path, problems)
  }
}

function checkService(service: Service, path: string, problems: Problems): void {
  checkShared(service, path, problems)
  problems.oneOf(`${path}/protocol`, service.protocol, ['tcp', 'udp'])
  const { ports = [] } = service
  if (ports.length === 0) problems.warn(path, 'has no ports: nobody reaches it from outside')
  for (const [index, port] of ports.entries())
    checkPort(port, service, `${path}/ports/${index}`, problems)
  for (const [index, check] of (service.tcp_checks ?? []).entries()) {
    checkServiceTiming(check, `${path}/tcp_checks/${index}`, problems)
  }
  for (const [index, check] of (service.http_checks ?? []).entries()) {
    checkServiceTiming(check, `${path}/http_checks/${index}`, problems)
    checkHttpCheck(check, `${path}/http_checks/${index}`, problems)
  }
}

function checkShared(service: HttpService | Service, path: string, problems: Problems): void {
  if (service.internal_port === undefined) {
    problems.error(path, 'lacks internal_port, the port that the app listens on')
  }
  problems.within(`${path}/internal_port`, service.internal_port, 1, PORT_MAX)
  const { concurrency, min_machines_running: min = 0 } = service
  problems.oneOf(`${path}/concurrency/type`, concurrency?.type, ['connections', 'requests'])
  const { soft_limit: soft, hard_limit: hard } = concurrency ?? {}
  problems.within(`${path}/concurrency/soft_limit`, soft, 1, Number.MAX_SAFE_INTEGER)
  problems.within(`${path}/concurrency/hard_limit`, hard, 1, Number.MAX_SAFE_INTEGER)
  if (soft !== undefined && hard !== undefined && soft > hard) {
    problems.error(
      `${path}/concurrency`,
      `has a soft_limit of ${soft} above its hard_limit of ${hard}`,
    )
  }
  if (min < 0) problems.error(`${path}/min_machines_running`, `is ${min}; use 0 or more`)
  if (min > 0 && (service.auto_stop_machines ?? 'off') === 'off') {
    problems.warn(`${path}/min_machines_running`, 'has no effect without auto_stop_machines')
  }
  checkMachineChecks(service.machine_checks, `${path}/machine_checks`, problems)
}

function checkPort(
  port: Port,
  { protocol = 'tcp', internal_port: internal }: Service,
  path: string,
  problems: Problems,
): void {
  const { port: single, start_port: first, end_port: last, handlers = [] } = port
  for (const key of ['port', 'start_port', 'end_port'] as const) {
    problems.within(`${path}/${key}`, port[key], 1, PORT_MAX)
  }
  const isRange = first !== undefined && last !== undefined
  if (single === undefined ? !isRange : first !== undefined || last !== undefined) {
    problems.error(path, 'needs either port, or start_port and end_port')
  } else if (isRange && first > last) {
    problems.error(path, `ends with port ${last}, before its start ${first}`)
  }
  for (const [index, handler] of handlers.entries()) {
    if ((HANDLERS as readonly string[]).includes(handler)) continue
    const near = nearest(handler, HANDLERS)
    const hint = near === undefined ? `known are ${HANDLERS.join(', ')}` : `did you mean '${near}'?`
    problems.error(`${path}/handlers/${index}`, `is '${handler}'; ${hint}`)
  }
  if (protocol === 'udp' && handlers.length > 0) {
    problems.warn(`${path}/handlers`, 'have no effect on UDP')
  }
  if (protocol === 'udp' && single !== undefined && internal !== undefined && single !== internal) {
    const why = `datagrams arrive at the port that clients send to, ${single}, not at internal_port`
    problems.warn(`${path}/port`, why)
  }
  checkHttpOptions(port.http_options, `${path}/http_options`, problems)
  if (port.force_https && !handlers.includes('http')) {
    problems.warn(`${path}/force_https`, "has no effect without the handler 'http'")
  }
}

function checkHttpOptions(options: Port['http_options'], path: string, problems: Problems): void {
  let bytes = 0
  for (const [name, value] of Object.entries(options?.response?.headers ?? {})) {
    const values = Array.isArray(value) ? value : [typeof value === 'string' ? value : '']
    for (const one of values) bytes += name.length + one.length
  }
  if (bytes <= HEADERS_BYTES_MAX) return
  problems.error(
    `${path}/response/headers`,
    `are ${bytes} bytes together; at most ${HEADERS_BYTES_MAX} are added to an answer`,
  )
}
