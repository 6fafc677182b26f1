import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import type { AppConfig } from '#app-config'
import type { DeployOptions, DeployResult, Platform, Release, Strategy } from '#deploy'
import type { AppRelease, FlapsClient } from '#flaps-client'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { warnOfBuildOptions, withBuildOptions } from './build-options.ts'
import { type Print, printOut } from './connection.ts'
import { DeployProgress } from './deploy-progress.ts'
import { isImagePath, pushedImage } from './image-argument.ts'
import { ApiInputError } from './input-error.ts'
import { RUNNING, sayItRuns } from './release-word.ts'
import { waitMs } from './wait-time.ts'
import { wholeNumber } from './whole-number.ts'

export interface DeployCommandOptions extends AppCommandOptions {
  readonly image?: string
  readonly strategy?: Strategy
  readonly env: readonly string[]
  readonly ha: boolean
  readonly waitTimeout?: string
  readonly maxUnavailable?: string
  readonly maxConcurrent: number
  readonly regions?: string
  readonly excludeRegions?: string
  readonly onlyMachines?: string
  readonly excludeMachines?: string
  readonly processGroups?: string
  readonly updateOnly?: boolean
  readonly smokeChecks: boolean
  readonly skipReleaseCommand?: boolean
  readonly keepFailed?: boolean
  readonly primaryRegion?: string
  readonly publicIps: boolean
  readonly flycast?: boolean
  readonly signal?: string
}

/** `godwit deploy`: brings a new release to every machine of an app. */
export function deployCommand(print: Print = printOut): Command {
  const command = appCommand('deploy', 'bring a new release to every machine of an app', [
    'deploy --image registry.example/web:2.0',
    'deploy --image ./web.tar                    # from docker save, or an OCI layout',
    'deploy --strategy bluegreen',
    'deploy --json | jq .version',
  ])
    .option(
      '-i, --image <reference>',
      'what to run: a reference, or a path to an archive; else `image` of [build]',
    )
    .option('--strategy <name>', 'rolling, immediate, canary or bluegreen')
    .option('-e, --env <NAME=value>', 'over what [env] says; repeatable', collect, [])
    .option('--no-ha', 'one machine for a new process group, not two')
    .option('--wait-timeout <time>', 'for a machine to start, and to be healthy: 90, 5m, none')
    .option('--max-unavailable <n>', 'machines that may be down at once; below 1 a share of them')
    .option('--max-concurrent <n>', 'machines that are changed at once', wholeNumber, 8)
    .option('--regions <codes>', 'only machines there')
    .option('--exclude-regions <codes>', 'no machines there')
    .option('--only-machines <ids>', 'only these')
    .option('--exclude-machines <ids>', 'not these')
    .option('--process-groups <names>', 'only these')
    .option('--update-only', 'make no machines')
    .option('--no-smoke-checks', 'do not watch machines right after their start')
    .option('--skip-release-command', 'do not run it')
    .option('--keep-failed', 'leave the release where it failed, instead of going back')
    .option('--primary-region <code>', 'over what the file says')
    .option('--no-public-ips', 'give a new app no addresses')
    .option('--flycast', 'give a new app a private address alone')
    .option('--signal <name>', 'that stops blue machines of a blue-green deploy')
    .action((options: DeployCommandOptions) => {
      warnOfBuildOptions(options)
      return withApp(options, (session) => deployApp(session, options, print))
    })
  return withBuildOptions(command)
}

/** What the command line says when it says nothing. */
export const DEPLOY_DEFAULTS = {
  env: [],
  ha: true,
  maxConcurrent: 8,
  smokeChecks: true,
  publicIps: true,
} as const satisfies Partial<DeployCommandOptions>

/** Deploys what the configuration of the app says. */
export async function deployApp(
  session: AppSession,
  options: DeployCommandOptions,
  print: Print,
): Promise<void> {
  const { config, file } = await configOf(session, options)
  const image = await imageOf(session, { config, file }, options)
  const result = await deployRelease(session, { config, file, image, options, print })
  if (options.json) return print(`${JSON.stringify(result)}\n`)
  print(`v${result.version} is deployed: ${summary(result)}\n`)
}

export interface ReleaseJob {
  readonly config: AppConfig
  /** Paths in the configuration are relative to its folder. */
  readonly file: string
  readonly image: string
  readonly options: DeployCommandOptions
  readonly print: Print
}

/** Keeps the release, brings it to the machines, and keeps how that went. */
export async function deployRelease(
  session: AppSession,
  job: ReleaseJob,
): Promise<DeployResult & { version: number; image: string }> {
  const { deploy } = await import('#deploy')
  const { localFiles } = await import('../local-files.ts')
  const { client, app } = session
  const { config, file, image, options } = job
  const progress = new DeployProgress(options.json === true)
  const release = await releaseFor(session, job)
  const stopping = new AbortController()
  const stop = () => stopping.abort(new Error('interrupted'))
  process.once('SIGINT', stop).once('SIGTERM', stop)
  const releases = client.releases(app)
  await releases.update(release.id, RUNNING)
  const saying = sayItRuns(releases, release.id)
  try {
    const result = await deploy({
      platform: platformOf(session),
      config,
      image,
      release,
      readLocalFile: localFiles(file),
      tell: (event) => progress.tell(event),
      signal: stopping.signal,
      ...(await choicesOf(options)),
    })
    await saying[Symbol.asyncDispose]()
    await releases.update(release.id, { status: 'complete' })
    return { ...result, version: release.version, image }
  } catch (error) {
    await saying[Symbol.asyncDispose]()
    await noteFailure(client, app, release, error, stopping.signal.aborted)
    throw error
  } finally {
    progress.end()
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

/** The deploy has failed already: what cannot be noted is only told. */
async function noteFailure(
  client: FlapsClient,
  app: string,
  { id }: Release,
  error: unknown,
  isInterrupted: boolean,
): Promise<void> {
  const failure = error instanceof Error ? error.message : String(error)
  const status = isInterrupted ? ('interrupted' as const) : ('failed' as const)
  try {
    await client.releases(app).update(id, { status, failure })
  } catch (unnoted) {
    const why = unnoted instanceof Error ? unnoted.message : String(unnoted)
    process.stderr.write(`warning: the release is not noted as ${status}: ${why}\n`)
  }
}

/** The one that was interrupted, when the same is deployed again; else a new one. */
async function releaseFor(
  { client, app }: AppSession,
  { config, image, options }: ReleaseJob,
): Promise<Release> {
  const latest = await client.releases(app).latest()
  if (latest !== undefined && isSame(latest, image, config)) {
    process.stderr.write(`going on with v${latest.version}, which was interrupted\n`)
    return latest
  }
  const strategy = options.strategy ?? config.deploy?.strategy ?? 'rolling'
  return await client.releases(app).create({ image, strategy, definition: config })
}

const isSame = (latest: AppRelease, image: string, config: AppConfig) =>
  latest.status === 'interrupted' &&
  latest.image_ref === image &&
  JSON.stringify(latest.definition) === JSON.stringify(config)

/** From the file, else from the release that runs. */
async function configOf({ client, app }: AppSession, options: DeployCommandOptions) {
  const { checkDocument, deployable, findConfig, namedConfig, problemText, readAppConfig } =
    await import('#app-config')
  const file = options.config === undefined ? findConfig('.') : namedConfig(options.config)
  const current = file === undefined ? await client.releases(app).current() : undefined
  if (file === undefined && current === undefined) {
    throw new ApiInputError('cli.no_app', {
      what: 'there is no fly.toml here, and nothing was deployed before',
      fix: 'go to the folder of the app, or name the file with --config',
    })
  }
  const read =
    file === undefined
      ? checkDocument(
          current?.definition as Record<string, unknown>,
          `release v${current?.version}`,
        )
      : readAppConfig(file)
  for (const problem of read.problems) {
    if (problem.severity === 'warning') process.stderr.write(`warning: ${problemText(problem)}\n`)
  }
  const config = deployable(read)
  const { primaryRegion } = options
  return {
    config: primaryRegion === undefined ? config : { ...config, primary_region: primaryRegion },
    file: file ?? '.',
  }
}

/**
 * With its digest, so that every machine runs the same. A registry that only hosts can reach is left to
 * them.
 */
async function imageOf(
  session: AppSession,
  { config, file }: { config: AppConfig; file: string },
  options: DeployCommandOptions,
): Promise<string> {
  const named = options.image ?? config.build?.image
  if (named === undefined) {
    throw new ApiInputError('cli.no_image', {
      what: 'which image?',
      fix: 'give --image, or `image` in [build]: this version builds no Dockerfiles',
    })
  }
  if (isImagePath(named)) {
    const base = options.image === undefined ? dirname(file) : '.'
    return await pushedImage(session, resolve(base, named), options.json === true)
  }
  const { formatReference, ImageError, parseReference, RegistryClient } = await import('#image')
  const reference = parseReference(named)
  if (reference.digest !== undefined) return formatReference(reference)
  try {
    const { digest } = await new RegistryClient({ attemptsMax: 2 }).manifest(reference)
    return formatReference({ ...reference, digest })
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    process.stderr.write(
      `warning: ${named} cannot be looked up from here (${error.what}); hosts will, each for itself\n`,
    )
    return formatReference(reference)
  }
}

/** One app as a deploy sees the platform. */
export function platformOf({ client, app, machines }: AppSession): Platform {
  return {
    machines,
    volumes: () => client.volumes(app).list(),
    createVolume: ({ name, region, sizeGb }) =>
      client.volumes(app).create({ name, region, size_gb: sizeGb }),
    ips: () => client.addresses(app).list(),
    assignIp: (kind) => client.addresses(app).assign(kind),
    nearestRegion: () => client.nearestRegion(),
  }
}

/** What the command line says of the deploy itself. */
async function choicesOf(options: DeployCommandOptions): Promise<Partial<DeployOptions>> {
  const { strategy, maxUnavailable, signal } = options
  const machineMs = waitMs(options.waitTimeout)
  const waits = {
    ...(machineMs === undefined ? {} : { machineMs }),
    ...(options.smokeChecks ? {} : { smokeMs: 0 }),
  }
  return {
    maxConcurrent: options.maxConcurrent,
    waits,
    skipReleaseCommand: options.skipReleaseCommand === true,
    keepFailed: options.keepFailed === true,
    publicIps: publicIpsOf(options),
    envOverrides: Object.fromEntries(options.env.map(pairOf)),
    choice: {
      isHighlyAvailable: options.ha,
      updateOnly: options.updateOnly === true,
      ...listed('regions', options.regions),
      ...listed('excludedRegions', options.excludeRegions),
      ...listed('onlyMachines', options.onlyMachines),
      ...listed('excludedMachines', options.excludeMachines),
      ...listed('onlyGroups', options.processGroups),
    },
    ...(strategy === undefined ? {} : { strategy: strategyOf(strategy) }),
    ...(maxUnavailable === undefined ? {} : { maxUnavailable: shareOf(maxUnavailable) }),
    ...(signal === undefined ? {} : { stopSignal: signal }),
  }
}

function publicIpsOf({ publicIps, flycast }: DeployCommandOptions) {
  if (!publicIps) return 'none'
  return flycast ? 'private' : 'shared'
}

const listed = (key: string, text: string | undefined) =>
  text === undefined ? {} : { [key]: text.split(',').map((one) => one.trim()) }

const STRATEGIES: readonly string[] = ['rolling', 'immediate', 'canary', 'bluegreen']

function strategyOf(text: string): Strategy {
  if (STRATEGIES.includes(text)) return text as Strategy
  throw badValue('strategy', text, `use ${STRATEGIES.join(', ')}`)
}

function shareOf(text: string): number {
  const share = Number(text)
  if (share > 0) return share
  throw badValue('max-unavailable', text, 'use a number of machines, or a share like 0.33')
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
  throw badValue('env', text, 'write it as NAME=value')
}

const badValue = (option: string, value: string, fix: string) =>
  new ApiInputError('cli.bad_value', { what: `--${option} is wrong`, values: { value }, fix })

const collect = (one: string, all: readonly string[]) => [...all, one]

function summary({ updated, created, destroyed, unchanged }: DeployResult): string {
  const parts = [
    [updated, 'updated'],
    [created, 'made'],
    [destroyed, 'destroyed'],
    [unchanged, 'already there'],
  ] as const
  const shown = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return shown.length === 0 ? 'nothing to do' : shown.join(', ')
}
