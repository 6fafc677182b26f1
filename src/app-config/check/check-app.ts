import { BaseError, parseAppName, shellWords } from '#base'
import type { AppConfig } from '../app-config.ts'
import type { Problems } from '../problem.ts'
import { processGroups } from '../process-groups.ts'
import { checkedDurationMs } from './check-durations.ts'

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'SIGTERM'] as const
const KILL_TIMEOUT_MS_MAX = 300_000
const SWAP_MB_MAX = 65_536
const STATICS_MAX = 10
const COMPRESSION_LEVEL_MAX = 9

/** The keys of the top level, `[env]`, `[processes]`, `[build]`, `[[files]]`, `[[statics]]`, `[[metrics]]`. */
export function checkApp(config: AppConfig, problems: Problems): void {
  checkName(config, problems)
  if (config.primary_region !== undefined && !/^[a-z][a-z0-9]{1,7}$/.test(config.primary_region)) {
    problems.error(
      '/primary_region',
      `is '${config.primary_region}'; write a region's code, like ams`,
    )
  }
  problems.oneOf('/kill_signal', config.kill_signal, SIGNALS)
  const killMs = checkedDurationMs(problems, '/kill_timeout', config.kill_timeout)
  if (killMs !== undefined && killMs > KILL_TIMEOUT_MS_MAX) {
    problems.warn(
      '/kill_timeout',
      `is ${config.kill_timeout}; machines are killed after 5m at the latest`,
    )
  }
  problems.within('/swap_size_mb', config.swap_size_mb, 0, SWAP_MB_MAX)
  checkEnv(config, problems)
  checkCommands(config, problems)
  checkBuild(config, problems)
  checkFiles(config, problems)
  checkStatics(config, problems)
  checkMetrics(config, problems)
  if (config.experimental?.lazy_load_images) {
    problems.warn('/experimental/lazy_load_images', 'has no effect')
  }
}

function checkName({ app }: AppConfig, problems: Problems): void {
  if (app === undefined) return
  try {
    parseAppName(app)
  } catch (error) {
    if (!(error instanceof BaseError)) throw error
    problems.error('/app', `is '${app}'; ${error.fix ?? error.what}`)
  }
}

function checkEnv({ env = {} }: AppConfig, problems: Problems): void {
  for (const [name, value] of Object.entries(env)) {
    const path = `/env/${name}`
    if (name.startsWith('FLY_') && !OWN_NAMES.has(name)) {
      problems.warn(path, 'begins with FLY_, which is for the platform: it may be overridden')
    } else if (/(SECRET|PASSWORD|PRIVATE_KEY|API_KEY|TOKEN)/i.test(name) && value !== '') {
      problems.warn(path, 'looks like a secret; keep it out of the file with `godwit secrets set`')
    }
  }
}

/** Set by clients, so that a configuration read back from a machine is no surprise. */
const OWN_NAMES = new Set(['FLY_PROCESS_GROUP', 'FLY_STANDBY_FOR'])

function checkCommands({ processes = {}, deploy = {} }: AppConfig, problems: Problems): void {
  const commands: [string, string | undefined][] = [
    ...Object.entries(processes).map(([name, command]): [string, string] => [
      `/processes/${name}`,
      command,
    ]),
    ['/deploy/release_command', deploy.release_command],
    ['/deploy/seed_command', deploy.seed_command],
  ]
  for (const [path, command] of commands) {
    if (command !== undefined && shellWords(command) === undefined) {
      problems.error(path, 'has a quote that is not closed')
    }
  }
}

function checkBuild({ build = {} }: AppConfig, problems: Problems): void {
  const methods = (['image', 'dockerfile', 'builder', 'builtin', 'compose'] as const).filter(
    (key) => build[key] !== undefined,
  )
  if (methods.length > 1) {
    problems.warn('/build', `names ${methods.join(' and ')}; ${methods[0]} is used`)
  }
  problems.oneOf('/build/compression', build.compression, ['gzip', 'zstd'])
  problems.within('/build/compression_level', build.compression_level, 0, COMPRESSION_LEVEL_MAX)
}

function checkFiles({ files = [] }: AppConfig, problems: Problems): void {
  for (const [index, file] of files.entries()) {
    const path = `/files/${index}`
    if (file.guest_path === undefined || !file.guest_path.startsWith('/')) {
      problems.error(`${path}/guest_path`, 'must be an absolute path in the machine')
    }
    const sources = [file.local_path, file.secret_name, file.raw_value]
    if (sources.filter((source) => source !== undefined).length !== 1) {
      problems.error(path, 'needs exactly one of local_path, secret_name and raw_value')
    }
  }
}

function checkStatics({ statics = [] }: AppConfig, problems: Problems): void {
  if (statics.length > STATICS_MAX) {
    problems.error('/statics', `are ${statics.length}; ${STATICS_MAX} are allowed`)
  }
  for (const [index, one] of statics.entries()) {
    for (const key of ['guest_path', 'url_prefix'] as const) {
      if (!one[key]) problems.error(`/statics/${index}/${key}`, 'is required')
    }
  }
}

function checkMetrics(config: AppConfig, problems: Problems): void {
  const { metrics = [] } = config
  for (const [index, { port, path }] of metrics.entries()) {
    if (port === undefined) problems.error(`/metrics/${index}/port`, 'is required')
    if (path === undefined) problems.error(`/metrics/${index}/path`, 'is required')
  }
  const groups = processGroups(config)
  for (const group of groups) {
    const own = metrics.filter(({ processes = [] }) => processes.includes(group))
    if (own.length > 1)
      problems.warn('/metrics', `are ${own.length} for '${group}'; the first is used`)
  }
}
