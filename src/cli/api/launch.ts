import { existsSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { warnOfBuildOptions, withBuildOptions } from './build-options.ts'
import {
  type ConnectionOptions,
  connect,
  type Print,
  printOut,
  withConnection,
} from './connection.ts'
import { DEPLOY_DEFAULTS, deployApp } from './deploy.ts'
import { isImagePath } from './image-argument.ts'
import { ApiInputError } from './input-error.ts'
import { organizationOf, organizationOption } from './organization-option.ts'
import { wholeNumber } from './whole-number.ts'

interface LaunchOptions extends ConnectionOptions {
  readonly image: string
  readonly org?: string
  readonly name?: string
  readonly region?: string
  readonly internalPort: number
  readonly vmSize: string
  readonly vmMemory?: string
  readonly path: string
  readonly autostop: string
  readonly ha: boolean
  readonly deploy: boolean
  readonly force?: boolean
  readonly json?: boolean
}

/** `godwit launch`: from an image to an app that runs. Asks nothing: what it chose is in the file. */
export function launchCommand(print: Print = printOut): Command {
  const command = new Command('launch')
    .summary('make an app of an image: its fly.toml, its name, its first deploy')
    .description(
      'Writes a fly.toml, makes the app and deploys it. What is not said is chosen, and stands in the file.',
    )
    .requiredOption('-i, --image <reference>', 'what to run; also a file, as for deploy')
    .addOption(organizationOption())
    .option('--name <name>', "of the app; default: the folder's")
    .option('-r, --region <code>', 'primary region; default: near this API')
    .option('--internal-port <port>', 'that the app listens on', wholeNumber, 8080)
    .option('--vm-size <preset>', '`godwit platform vm-sizes` lists them', 'shared-cpu-1x')
    .option('--vm-memory <size>', 'such as 512mb')
    .addOption(
      new Option('--autostop <how>', 'what idle machines do')
        .choices(['off', 'stop', 'suspend'])
        .default('stop'),
    )
    .option('--path <folder>', 'where fly.toml is written', '.')
    .option('--no-ha', 'one machine, not two')
    .option('--no-deploy', 'write the file and make the app, and no more')
    .option('--force', 'write over a fly.toml that is there')
    .option('-j, --json', 'print JSON')
    .action((options: LaunchOptions) => {
      warnOfBuildOptions(options)
      return launch(options, print)
    })
  return withConnection(withBuildOptions(command)).addHelpText(
    'after',
    `
Examples:
  $ godwit launch --image nginx:1.27 --org acme --internal-port 80
  $ godwit launch --image ./web.tar --org acme --name web --region ams --no-deploy`,
  )
}

async function launch(options: LaunchOptions, print: Print): Promise<void> {
  const file = join(resolve(options.path), 'fly.toml')
  if (existsSync(file) && options.force !== true) {
    throw new ApiInputError('cli.failed', {
      what: 'there is a fly.toml already',
      values: { file },
      fix: 'deploy it with `godwit deploy`, or write over it with --force',
    })
  }
  const name = await nameOf(options)
  using client = await connect(options)
  const region = options.region ?? (await client.nearestRegion())
  const text = await configText(name, region, options)
  await client.createApp(name, await organizationOf(client, options.org))
  writeFileSync(file, text)
  if (!options.json) print(`${name} is made; its configuration is ${file}\n`)
  if (!options.deploy) {
    if (options.json) return print(`${JSON.stringify({ app: name, file, deployed: false })}\n`)
    return print(`next: godwit deploy -c ${options.path}\n`)
  }
  const session = { client, app: name, machines: client.machines(name) }
  const { image, ha } = options
  await deployApp(session, { ...DEPLOY_DEFAULTS, ...options, image, ha, config: file }, print)
  if (!options.json) print(`next: godwit status -a ${name}\n`)
}

/** @throws BaseError base.slug_bad */
async function nameOf({ name, path }: LaunchOptions): Promise<string> {
  const { parseAppName, slugify } = await import('#base')
  return parseAppName(name ?? slugify(basename(resolve(path))))
}

async function configText(name: string, region: string, options: LaunchOptions): Promise<string> {
  const { stringify } = await import('smol-toml')
  const { image, internalPort: port, vmSize, vmMemory, autostop } = options
  const config = {
    app: name,
    primary_region: region,
    ...(isImagePath(image) ? {} : { build: { image } }),
    http_service: {
      internal_port: port,
      force_https: true,
      auto_stop_machines: autostop,
      auto_start_machines: autostop !== 'off',
      min_machines_running: 0,
    },
    vm: [{ size: vmSize, ...(vmMemory === undefined ? {} : { memory: vmMemory }) }],
  }
  return `# Every key is explained in docs/fly-toml.md; \`godwit config validate\` checks this file.\n${stringify(config)}\n`
}
