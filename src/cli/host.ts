import { Command } from 'commander'
import { createLog } from '#base'
import type { PartStatus, PartVerb } from '#host'
import { hostCaCommand, hostCertsCommand, hostRenewCommand } from './host-certificates.ts'
import { hostJoinCommand, hostRemoveCommand, hostTokenCommand } from './host-join.ts'
import { hostListCommand } from './host-list.ts'
import { hostEvacuateCommand, hostModeCommand, hostShowCommand } from './host-mode.ts'
import { type HostOptions, hostConfigAt, onHost } from './host-option.ts'
import { hostUpgradeCommand } from './host-upgrade.ts'
import { renderTable } from './table.ts'

type Print = (text: string) => void

/** `godwit host`: all daemons of this host. */
export function hostCommand(print: Print = (text) => void process.stdout.write(text)): Command {
  return new Command('host')
    .summary('all daemons of this host')
    .description(
      'Runs all daemons of this host, which follow from one file; docs/host.md is its manual. Commands that name a host run on ' +
        'any host, as root.',
    )
    .addCommand(foundCommand(print))
    .addCommand(runCommand())
    .addCommand(statusCommand(print))
    .addCommand(changeCommand('restart', 'stop a part and start it again', print))
    .addCommand(changeCommand('stop', 'stop a part, until it is started again', print))
    .addCommand(changeCommand('start', 'start a part that was stopped', print))
    .addCommand(hostTokenCommand(print))
    .addCommand(hostJoinCommand(print))
    .addCommand(hostRemoveCommand(print))
    .addCommand(hostListCommand(print))
    .addCommand(hostShowCommand(print))
    .addCommand(hostModeCommand('cordon', print))
    .addCommand(hostModeCommand('uncordon', print))
    .addCommand(hostModeCommand('drain', print))
    .addCommand(hostEvacuateCommand(print))
    .addCommand(hostUpgradeCommand(print))
    .addCommand(hostCertsCommand(print))
    .addCommand(hostRenewCommand(print))
    .addCommand(hostCaCommand(print))
}

function foundCommand(print: Print): Command {
  return new Command('found')
    .summary('make the files of a new cluster, or of hosts that are added to it')
    .description(
      'Makes a folder for each host of a plan: what it is told and its secrets, to be copied to the host. Hosts that ' +
        'were made before keep their secrets and learn of new ones. The folder holds the key of the cluster: keep it safe.',
    )
    .argument('<plan>', 'TOML: docs/operate.md shows one')
    .requiredOption('--out <folder>', 'of the cluster')
    .option('--json', 'print JSON')
    .action(async (plan: string, { out, json }: { out: string; json?: boolean }) => {
      const { foundInFolder } = await import('#host')
      const founded = await foundInFolder(plan, out)
      if (json) return print(`${JSON.stringify({ folder: out, ...founded })}\n`)
      const { hosts, added } = founded
      for (const host of hosts) print(`${added.includes(host) ? 'new ' : 'kept'} ${out}/${host}\n`)
      print('next: copy each folder to /var/lib/godwit of its host, then `godwit install` there\n')
    })
    .addHelpText('after', `\nExample:\n  $ godwit host found cluster.toml --out ./cluster`)
}

function runCommand(): Command {
  return onHost('run', 'run all daemons of this host until told to stop')
    .description(
      'Runs all daemons of this host, in the foreground. SIGTERM and SIGINT end them, the last first; machines ' +
        'run on. What a killed run left is ended before the next one starts it anew.',
    )
    .action(async ({ config }: HostOptions) => {
      const { runHost } = await import('#host')
      const { GODWIT } = await import('./install.ts')
      const log = createLog({ part: 'host' })
      const stop = new AbortController()
      const stopped = new Promise<void>((resolve) => {
        stop.signal.addEventListener('abort', () => resolve())
      })
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)))
      }
      await using running = await runHost(await hostConfigAt(config), {
        log,
        replaceProgram: () => process.execve?.(GODWIT, [GODWIT, ...process.argv.slice(2)]),
      })
      running.supervisor.ready(stop.signal).then(
        () => log.info('all parts are ready'),
        () => undefined, // told to stop before
      )
      await stopped
    })
    .addHelpText('after', `\nExample:\n  $ godwit host run --config host.toml`)
}

function statusCommand(print: Print): Command {
  return onHost('status', 'what runs on this host')
    .option('--json', 'print JSON')
    .action(async ({ config, json }: HostOptions) => {
      const { hostSocketOf, hostStatus } = await import('#host')
      show(await hostStatus(hostSocketOf(await hostConfigAt(config))), json, print)
    })
    .addHelpText('after', `\nExample:\n  $ godwit host status`)
}

function changeCommand(verb: PartVerb, summary: string, print: Print): Command {
  return onHost(verb, summary)
    .argument('<part>', 'as `godwit host status` names it')
    .option('--json', 'print JSON')
    .action(async (part: string, { config, json }: HostOptions) => {
      const { changePart, hostSocketOf } = await import('#host')
      show(await changePart(hostSocketOf(await hostConfigAt(config)), verb, part), json, print)
    })
    .addHelpText('after', `\nExample:\n  $ godwit host ${verb} flyd`)
}

function show(parts: readonly PartStatus[], json: boolean | undefined, print: Print): void {
  if (json) {
    print(`${JSON.stringify(parts, null, 2)}\n`)
    return
  }
  const rows = parts.map(({ name, state, pid, restarts }) => [
    name,
    state,
    pid === null ? '' : String(pid),
    String(restarts),
  ])
  print(renderTable([['PART', 'STATE', 'PID', 'RESTARTS'], ...rows]))
}
