import type { Command } from 'commander'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import type { Print } from './connection.ts'
import { DeployProgress } from './deploy-progress.ts'
import { waitMs } from './wait-time.ts'

interface RestartOptions extends AppCommandOptions {
  readonly forceStop?: boolean
  readonly skipHealthChecks?: boolean
  readonly waitTimeout: string
}

/** `apps restart`: each machine of an app that runs, one after the other. */
export function appRestartCommand(print: Print): Command {
  return appCommand('restart', 'restart the machines of an app that run, one after the other', [
    'apps restart web',
    'apps restart -a web --skip-health-checks',
  ])
    .argument('[name]', 'of the app; else as for --app')
    .option('--force-stop', 'kill them, in place of asking them to end')
    .option('--skip-health-checks', 'do not wait until the checks of one pass before the next')
    .option('--wait-timeout <time>', 'to start, and again to be healthy: 90, 5m, none', '5m')
    .action((name: string | undefined, options: RestartOptions) =>
      withApp(name === undefined ? options : { ...options, app: name }, async (session) => {
        const { restartOne } = await import('#deploy')
        const { app, machines } = session
        const running = (await machines.list()).filter(({ state }) => state === 'started')
        const progress = new DeployProgress(options.json === true)
        try {
          const around = {
            ...{ machines, tell: progress.tell.bind(progress) },
            waits: { machineMs: waitMs(options.waitTimeout) },
          }
          const { forceStop: isForced = false, skipHealthChecks: skipChecks = false } = options
          for (const machine of running) await restartOne(machine, { isForced, skipChecks }, around)
        } finally {
          progress.end()
        }
        const ids = running.map(({ id }) => id)
        if (options.json) return print(`${JSON.stringify({ restarted: ids })}\n`)
        print(
          ids.length === 0
            ? `no machine of ${app} runs\nnext: godwit machine start -a ${app}\n`
            : `${ids.length} of ${app} restarted\n`,
        )
      }),
    )
}
