import { Command } from 'commander'
import { createLog, type Log } from '#base'
import type { OpenHostApis } from '#proxy'
import { withForwarding } from './api/forward.ts'
import { proxyViewCommands } from './proxy-views.ts'

const CONFIG_FILE = '/etc/godwit/proxy.toml'

/** `godwit proxy`: the edge and worker proxy. */
export function proxyCommand(): Command {
  const command = withForwarding(new Command('proxy'))
    .summary("a machine's port on this computer; and the proxy of a host")
    .description(
      "Forwards a port of this computer to one of an app's machines. The commands below are for the proxy of a host; docs/proxy.md is its manual.",
    )
    .addCommand(runCommand())
  for (const view of proxyViewCommands()) command.addCommand(view)
  return command
}

function runCommand(): Command {
  return new Command('run')
    .summary('serve until told to stop')
    .description(
      'Serves in the foreground: the apps of the platform, where the file has [routing], else the routes of the file. SIGTERM and SIGINT drain it; SIGUSR2 starts it anew and hands over its sockets.',
    )
    .option('-c, --config <file>', 'the configuration file', CONFIG_FILE)
    .action(async ({ config }: { config: string }) => {
      const { loadStaticConfig, runProxy, runRouting } = await import('#proxy')
      const settings = loadStaticConfig(config)
      const log = createLog({ part: 'proxy' })
      const { routing } = settings
      if (routing === undefined) await runProxy(settings, log)
      else await runRouting(settings, routing, await hostApisOf(routing.hosts, log), log)
    })
    .addHelpText('after', `\nExample:\n  $ godwit proxy run --config proxy.toml`)
}

/** Machines are started and stopped by flyd of their hosts. */
async function hostApisOf(
  hosts: { readonly key_file: string; readonly port?: number } | undefined,
  log: Log,
): Promise<OpenHostApis | undefined> {
  if (hosts === undefined) return undefined
  const { ClusterKey, HOST_API_PORT, HostClients } = await import('#flyd')
  const key = ClusterKey.read(hosts.key_file, log)
  return (addressOf) => new HostClients({ addressOf, key, port: hosts.port ?? HOST_API_PORT })
}
