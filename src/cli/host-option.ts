import { Command } from 'commander'

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
