import { Command, Option } from 'commander'
import type { Call, Machine, MachinesClient } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { machineCreateCommands } from './machine-create.ts'
import { imageText, machineTable, sizeText } from './machine-table.ts'

const WAIT_MS = 300_000
const LEASE_TTL_S = 120

/** `godwit machine`: machines of an app, one by one. */
export function machineCommand(print: Print = printOut): Command {
  const command = new Command('machine')
    .alias('machines')
    .alias('m')
    .summary('machines of an app, one by one')
    .addCommand(listCommand(print))
    .addCommand(statusCommand(print))
  for (const made of machineCreateCommands(print)) command.addCommand(made)
  return command
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

function statusCommand(print: Print): Command {
  return appCommand('status', 'show one machine, its checks and what happened to it', [
    'machine status 148ed599c14189 -a web',
  ])
    .argument('<id>')
    .option('-d, --display-config', 'its whole configuration, too')
    .action((id: string, options: AppCommandOptions & { displayConfig?: boolean }) =>
      withApp(options, async ({ machines }) => {
        const machine = await machines.get(id)
        if (options.json) return print(`${JSON.stringify(machine)}\n`)
        print(describe(machine))
        if (options.displayConfig) print(`\n${JSON.stringify(machine.config, null, 2)}\n`)
      }),
    )
}

function describe(machine: Machine): string {
  const { checks = [], events = [] } = machine
  const facts = renderTable([
    ['ID', machine.id],
    ['Name', machine.name],
    ['State', machine.state],
    ['Host', machine.host_status],
    ['Region', machine.region],
    ['Size', sizeText(machine)],
    ['Image', imageText(machine)],
    ['Version', machine.instance_id],
    ['Address', machine.private_ip],
    ['Created', machine.created_at],
    ['Updated', machine.updated_at],
  ])
  const checkRows = checks.map(({ name, status, output = '' }) => [
    name,
    status,
    output.split('\n')[0]?.slice(0, 80) ?? '',
  ])
  const eventRows = events.map(({ type, status, source, timestamp, request }) => {
    const exit = request?.exit_event
    const detail =
      exit === undefined
        ? ''
        : `exit_code=${exit.exit_code ?? 0}${exit.oom_killed ? ' out of memory' : ''}`
    return [new Date(timestamp).toISOString(), type, status, source, detail]
  })
  return [
    facts,
    ...(checkRows.length === 0
      ? []
      : [`\n${renderTable([['CHECK', 'STATUS', 'OUTPUT'], ...checkRows])}`]),
    ...(eventRows.length === 0
      ? []
      : [`\n${renderTable([['TIME', 'EVENT', 'STATUS', 'SOURCE', ''], ...eventRows])}`]),
  ].join('')
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
    .argument('<id...>')
    .action((ids: string[], options: Many) =>
      withApp(options, async ({ machines }) => {
        const done: { id: string; result: string }[] = []
        for (const id of ids) {
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

function leasesCommand(print: Print): Command {
  return new Command('leases')
    .summary('who changes a machine')
    .addCommand(
      appCommand('view', 'show who holds the lease of a machine', [
        'machine leases view 148ed599c14189 -a web',
      ])
        .argument('<id>')
        .action((id: string, options: AppCommandOptions) =>
          withApp(options, async ({ machines }) => {
            const lease = await machines.currentLease(id)
            if (options.json) return print(`${JSON.stringify(lease ?? null)}\n`)
            if (lease === undefined) return print(`nobody holds the lease of ${id}\n`)
            const ends = new Date(lease.expires_at * 1000).toISOString()
            print(`${lease.owner} holds the lease of ${id} until ${ends}\n`)
          }),
        ),
    )
    .addCommand(
      appCommand('clear', 'take the lease of a machine away', [
        'machine leases clear 148ed599c14189 -a web',
      ])
        .argument('<id>')
        .action((id: string, options: AppCommandOptions) =>
          withApp(options, async ({ machines }) => {
            const lease = await machines.currentLease(id)
            if (lease !== undefined) await machines.release(id, lease.nonce)
            print(
              options.json
                ? `${JSON.stringify({ id, cleared: lease !== undefined })}\n`
                : `${id} is free\n`,
            )
          }),
        ),
    )
}

/** For commander: a whole number that is not negative. */
export function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new ApiInputError('cli.bad_value', {
    what: 'not a whole number',
    values: { value: text },
    fix: 'write one like 30',
  })
}
