import type { AppConfig } from '../app-config.ts'
import type { Problems } from '../problem.ts'
import { checkedDurationMs } from './check-durations.ts'

const STRATEGIES = ['rolling', 'immediate', 'canary', 'bluegreen'] as const

/** `[deploy]`, and whether its strategy can work with the rest. */
export function checkDeploy(config: AppConfig, problems: Problems): void {
  const { deploy = {}, mounts = [] } = config
  problems.oneOf('/deploy/strategy', deploy.strategy, STRATEGIES)
  const { strategy, max_unavailable: most } = deploy
  if (most !== undefined && most <= 0) {
    problems.error(
      '/deploy/max_unavailable',
      `is ${most}; use a share above 0, or a number of machines`,
    )
  }
  if (most !== undefined && (strategy === 'immediate' || strategy === 'bluegreen')) {
    problems.warn('/deploy/max_unavailable', `has no effect with strategy '${strategy}'`)
  }
  checkedDurationMs(problems, '/deploy/wait_timeout', deploy.wait_timeout)
  checkedDurationMs(problems, '/deploy/release_command_timeout', deploy.release_command_timeout)
  if (mounts.length > 0 && (strategy === 'canary' || strategy === 'bluegreen')) {
    problems.error(
      '/deploy/strategy',
      `${strategy} deployment strategy is not supported when using mounted volumes`,
    )
  }
  if (strategy === 'bluegreen' && countChecks(config) === 0) {
    problems.error(
      '/deploy/strategy',
      'bluegreen needs a health check that tells when to switch over',
    )
  }
}

function countChecks({ checks = {}, http_service: http, services = [] }: AppConfig): number {
  return (
    Object.keys(checks).length +
    (http?.checks ?? []).length +
    services.reduce(
      (sum, { tcp_checks: tcp = [], http_checks: web = [] }) => sum + tcp.length + web.length,
      0,
    )
  )
}
