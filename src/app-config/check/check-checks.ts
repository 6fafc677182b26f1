import type { AppConfig, Check, HttpCheck, MachineCheck, TcpCheck } from '../app-config.ts'
import type { Problems } from '../problem.ts'
import { defaultGroup, isFor } from '../process-groups.ts'
import { checkedDurationMs } from './check-durations.ts'

const SERVICE_MS = { min: 1_000, max: 60_000 } as const
const INTERVAL_MS_MIN = 2_000
const TIMEOUT_MS_MAX = 60_000

/** `[checks.NAME]` and the `machine_checks` of the top level. */
export function checkChecks(config: AppConfig, problems: Problems): void {
  for (const [name, check] of Object.entries(config.checks ?? {})) {
    checkCheck(config, name, check, problems)
  }
  checkMachineChecks(config.machine_checks, '/machine_checks', problems)
}

function checkCheck(config: AppConfig, name: string, check: Check, problems: Problems): void {
  const path = `/checks/${name}`
  if (check.type === undefined) problems.error(path, 'lacks its type: http or tcp')
  problems.oneOf(`${path}/type`, check.type, ['http', 'tcp'])
  checkHttpCheck(check, path, problems)
  const intervalMs = checkedDurationMs(problems, `${path}/interval`, check.interval)
  if (intervalMs !== undefined && intervalMs < INTERVAL_MS_MIN) {
    problems.error(`${path}/interval`, `is ${check.interval}; use 2s or more`)
  }
  const timeoutMs = checkedDurationMs(problems, `${path}/timeout`, check.timeout)
  if (timeoutMs !== undefined && timeoutMs > TIMEOUT_MS_MAX) {
    problems.error(`${path}/timeout`, `is ${check.timeout}; use 1m0s or less`)
  }
  checkedDurationMs(problems, `${path}/grace_period`, check.grace_period)
  checkPort(config, name, check, problems)
}

/** Without a port it checks the HTTP service of its group, which must then be there. */
function checkPort(config: AppConfig, name: string, check: Check, problems: Problems): void {
  problems.within(`/checks/${name}/port`, check.port, 1, 65_535)
  if (check.port !== undefined) return
  const { http_service: http } = config
  for (const group of check.processes ?? [defaultGroup(config)]) {
    if (http !== undefined && isFor(http, group, config)) continue
    problems.error(
      `/checks/${name}`,
      `check '${name}' of process group '${group}' has no port, and that group has no http_service`,
    )
  }
}

/** Method, protocol and path of a check that sends a request. */
export function checkHttpCheck(check: HttpCheck, path: string, problems: Problems): void {
  problems.oneOf(`${path}/protocol`, check.protocol, ['http', 'https'])
  if (check.method !== undefined && !/^[A-Za-z]+$/.test(check.method)) {
    problems.error(`${path}/method`, `is '${check.method}'; use GET or HEAD`)
  }
  if (check.path !== undefined && !check.path.startsWith('/')) {
    problems.error(`${path}/path`, `is '${check.path}'; it begins with /`)
  }
}

/** What is out of bounds here is clamped by the host. */
export function checkServiceTiming(check: TcpCheck, path: string, problems: Problems): void {
  for (const key of ['interval', 'timeout', 'grace_period'] as const) {
    const ms = checkedDurationMs(problems, `${path}/${key}`, check[key])
    if (ms === undefined || (key === 'grace_period' && ms === 0)) continue
    if (ms < SERVICE_MS.min || ms > SERVICE_MS.max) {
      problems.warn(`${path}/${key}`, `is ${check[key]}; it is taken as the nearest of 1s to 1m0s`)
    }
  }
}

export function checkMachineChecks(
  checks: readonly MachineCheck[] | undefined,
  path: string,
  problems: Problems,
): void {
  for (const [index, { command = [], kill_timeout: killTimeout }] of (checks ?? []).entries()) {
    if (command.length === 0) problems.error(`${path}/${index}`, 'lacks its command')
    checkedDurationMs(problems, `${path}/${index}/kill_timeout`, killTimeout)
  }
}
