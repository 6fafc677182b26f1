import { Command } from 'commander'
import { errorCode } from '#base'
import type { HostConfig } from '#host'
import { ApiInputError } from './api/input-error.ts'

const CONFIG_FILE = '/var/lib/godwit/host.toml'

export interface HostOptions {
  readonly config: string
  readonly json?: boolean
}

/** A command that runs on a host of the platform. */
export const onHost = (name: string, summary: string): Command =>
  new Command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .option('-c, --config <file>', "the host's file", CONFIG_FILE)

/** The file of the host that this runs on. @throws ApiInputError cli.no_host; as `loadHostConfig` */
export async function hostConfigAt(file: string): Promise<HostConfig> {
  const { loadHostConfig } = await import('#host')
  try {
    return loadHostConfig(file)
  } catch (error) {
    if (errorCode(error) !== 'base.config_unreadable') throw error
    throw new ApiInputError('cli.no_host', {
      what: 'this is no host of a platform, or you may not read its file',
      values: { file },
      fix: 'run it as root on a host, as in `ssh HOST godwit host list`; --config names a file elsewhere',
      cause: error,
    })
  }
}
