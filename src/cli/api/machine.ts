import { Command, Option } from 'commander'
import type { Call, MachinesClient } from '#flaps-client'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { machineIds } from './machine-argument.ts'
import { machineCloneCommand } from './machine-clone.ts'
import { machineCreateCommands } from './machine-create.ts'
import { leasesCommand } from './machine-leases.ts'
import { machineStatusCommand } from './machine-status.ts'
import { machineTable } from './machine-table.ts'
import { machineUpdateCommand } from './machine-update.ts'
import { wholeNumber } from './whole-number.ts'

const WAIT_MS = 300_000
const LEASE_TTL_S = 120

/** `godwit machine`: machines of an app, one by one. */
export function machineCommand(print: Print = printOut): Command {
  const command = new Command('machine')
    .alias('machines')
    .alias('m')
    .summary('machines of an app, one by one')
    .addCommand(listCommand(print))
    .addCommand(machineStatusCommand(print))
  for (const made of machineCreateCommands(print)) command.addCommand(made)
  return command
    .addCommand(machineUpdateCommand(print))
    .addCommand(machineCloneCommand(print))
    .addCommand(startCommand(print))
    .addCommand(stopCommand(print))
    .addCommand(suspendCommand(print))
    .addCommand(restartCommand(print))
    .addCommand(destroyCommand(print))
    .addCommand(cordonCommand('cordon', 'send no more requests to machines', true, print))
    .addCommand(cordonCommand('uncordon', 'send requests to machines again', false, print))
    .addCommand(killCommand(print))
    .addCommand(execCommand())
    .addCommand(waitCommand(print))
    .addCommand(leasesCommand(print))
}

function listCommand(print: Print): Command {
  return appCommand('list', 'show the machines of an app', [
    'machine list -a web',
    'machine list -a web --json | jq -r .[].id',
  ])
    .alias('ls')
    .action((options: AppCommandOptions) =>
      withApp(options, async ({ machines, app }) => {
        const all = await machines.list()
        if (options.json) return print(`${JSON.stringify(all)}\n`)
        if (all.length > 0) return print(machineTable(all))
        print(`${app} has no machines\nnext: godwit deploy, or godwit machine run IMAGE\n`)
      }),
    )
}

interface Many extends AppCommandOptions {
  readonly wait?: boolean
  readonly signal?: string
  readonly time?: number
  readonly force?: boolean
}

/** A command on some machines, one after the other, each under its lease. */
function onMachines(
  name: string,
  summary: string,
  act: (machines: MachinesClient, id: string, options: Many, call: Call) => Promise<string>,
  print: Print,
): Command {
  return appCommand(name, summary, [`machine ${name} 148ed599c14189 -a web`])
    .argument('[id...]', 'of machines; asked for, when it is left out')
    .action((given: string[], options: Many) =>
      withApp(options, async (session) => {
        const { machines } = session
        const done: { id: string; result: string }[] = []
        for (const id of await machineIds(session, given)) {
          const result = await underLease(machines, id, (call) => act(machines, id, options, call))
          done.push({ id, result })
          if (!options.json) print(`${id} ${result}\n`)
        }
        if (options.json) print(`${JSON.stringify(done)}\n`)
      }),
    )
}

/** A machine whose host is gone has nobody to lease it from. */
async function underLease<T>(
  machines: MachinesClient,
  id: string,
  act: (call: Call) => Promise<T>,
): Promise<T> {
  const { host_status: status } = await machines.get(id)
  if (status !== 'ok') return await act({})
  const { nonce } = await machines.lease(id, LEASE_TTL_S)
  try {
    return await act({ nonce })
  } finally {
    await machines.release(id, nonce)
  }
}

const noWaitOption = () => new Option('--no-wait', 'do not wait until it is done')

function startCommand(print: Print): Command {
  return onMachines(
    'start',
    'start machines',
    async (machines, id, { wait }, call) => {
      const { previous_state: before } = await machines.start(id, call)
      if (wait) await machines.wait(id, { states: ['started'], timeoutMs: WAIT_MS })
      return wait ? `started (was ${before})` : `starting (was ${before})`
    },
    print,
  ).addOption(noWaitOption())
}

function stopCommand(print: Print): Command {
  return onMachines(
    'stop',
    'stop machines',
    async (machines, id, { wait, signal, time }, call) => {
      await machines.stop(
        id,
        {
          ...(signal === undefined ? {} : { signal }),
          ...(time === undefined ? {} : { timeout: time }),
        },
        call,
      )
      if (!wait) return 'stopping'
      await machines.wait(id, { states: ['stopped'], timeoutMs: WAIT_MS })
      return 'stopped'
    },
    print,
  )
    .option('-s, --signal <name>', 'instead of what its configuration says')
    .option('--time <seconds>', 'after which it is killed', wholeNumber)
    .addOption(noWaitOption())
}

function suspendCommand(print: Print): Command {
  return onMachines(
    'suspend',
    'put machines to sleep with their memory',
    async (machines, id, { wait }, call) => {
      await machines.suspend(id, call)
      if (!wait) return 'suspending'
      await machines.wait(id, { states: ['suspended'], timeoutMs: WAIT_MS })
      return 'suspended'
    },
    print,
  ).addOption(noWaitOption())
}

function restartCommand(print: Print): Command {
  return onMachines(
    'restart',
    'restart machines',
    async (machines, id, { signal, time, force, wait }, call) => {
      await machines.restart(
        id,
        {
          force_stop: force === true,
          ...(signal === undefined ? {} : { signal }),
          ...(time === undefined ? {} : { timeout: `${time}s` }),
        },
        call,
      )
      if (wait) await machines.wait(id, { states: ['started'], timeoutMs: WAIT_MS })
      return wait ? 'started' : 'restarting'
    },
    print,
  )
    .option('-s, --signal <name>', 'instead of what its configuration says')
    .option('--time <seconds>', 'after which it is killed', wholeNumber)
    .option('--force', 'kill it at once')
    .addOption(noWaitOption())
}

function destroyCommand(print: Print): Command {
  return onMachines(
    'destroy',
    'destroy machines; their volumes stay',
    async (machines, id, { force }, call) => {
      const { state } = await machines.get(id)
      if (!force && !['stopped', 'suspended', 'failed', 'created'].includes(state)) {
        throw new ApiInputError('cli.bad_value', {
          what: 'this machine runs',
          values: { machine: id, state },
          fix: `stop it first (godwit machine stop ${id}), or give --force`,
        })
      }
      await machines.destroy(id, { force: force === true }, call)
      return 'destroyed'
    },
    print,
  )
    .alias('rm')
    .option('-f, --force', 'also when it runs')
}

const cordonCommand = (name: string, summary: string, isCordoned: boolean, print: Print): Command =>
  onMachines(
    name,
    summary,
    async (machines, id, _options, call) => {
      await machines.setCordoned(id, isCordoned, call)
      return `${name}ed`
    },
    print,
  )

function killCommand(print: Print): Command {
  return appCommand('kill', 'send a signal to a machine', [
    'machine kill 148ed599c14189 -s SIGUSR1 -a web',
  ])
    .argument('<id>')
    .option('-s, --signal <name>', 'which', 'SIGKILL')
    .action((id: string, options: AppCommandOptions & { signal: string }) =>
      withApp(options, async ({ machines }) => {
        await machines.signal(id, options.signal)
        print(
          options.json
            ? `${JSON.stringify({ id, signal: options.signal })}\n`
            : `${id} got ${options.signal}\n`,
        )
      }),
    )
}

function execCommand(): Command {
  return appCommand('exec', 'run a command in a machine, and end as it does', [
    'machine exec 148ed599c14189 -a web -- cat /etc/hostname',
  ])
    .argument('<id>')
    .argument('<command...>')
    .option('--timeout <seconds>', 'after which it is ended, up to 60', wholeNumber, 30)
    .action((id: string, command: string[], options: AppCommandOptions & { timeout: number }) =>
      withApp(options, async ({ machines }) => {
        const result = await machines.exec(id, { command, timeoutS: options.timeout })
        if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
        else {
          process.stdout.write(result.stdout)
          process.stderr.write(result.stderr)
        }
        process.exitCode = result.exit_code
      }),
    )
}

function waitCommand(print: Print): Command {
  return appCommand('wait', 'wait until a machine is in a state', [
    'machine wait 148ed599c14189 --state stopped -a web',
  ])
    .argument('<id>')
    .option(
      '--state <state>',
      'started, stopped, suspended, destroyed, failed or settled',
      'settled',
    )
    .option('--wait-timeout <seconds>', 'for how long', wholeNumber, WAIT_MS / 1000)
    .action((id: string, options: AppCommandOptions & { state: string; waitTimeout: number }) =>
      withApp(options, async ({ machines }) => {
        const { state, waitTimeout } = options
        await machines.wait(id, { states: [state], timeoutMs: waitTimeout * 1000 })
        print(options.json ? `${JSON.stringify({ id, state })}\n` : `${id} is ${state}\n`)
      }),
    )
}
