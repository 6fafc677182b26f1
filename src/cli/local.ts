import { constants } from 'node:os'
import { Command, Option } from 'commander'
import { formatDurationMs, type MachineId, parseDurationMs } from '#base'
import type { LocalMachines, LocalRecord } from '#local'
import { acceleratorFor } from './accelerator.ts'
import { joinStreams, terminalSize } from './attached-terminal.ts'
import { localLogsCommand } from './local-logs.ts'
import { addVariable, stateDirOption } from './local-options.ts'
import { localVolumesCommand } from './local-volumes.ts'
import { ProgressView } from './progress.ts'
import { runCommand } from './run.ts'
import { renderTable } from './table.ts'

interface StateDir {
  readonly stateDir: string
}

/** `godwit local`: the machines that `godwit run` made. */
export function localCommand(): Command {
  return new Command('local')
    .enablePositionalOptions()
    .summary('machines of this computer, made by godwit run')
    .description(
      'Lists, enters, stops and removes the machines that `godwit run` made on this computer.',
    )
    .addCommand(runCommand())
    .addCommand(listCommand())
    .addCommand(execCommand())
    .addCommand(localLogsCommand())
    .addCommand(startCommand())
    .addCommand(stopCommand())
    .addCommand(destroyCommand())
    .addCommand(localVolumesCommand())
    .addCommand(purgeCommand())
    .addHelpText(
      'after',
      `
Examples:
  $ godwit run -d --name web -p 8080:80 nginx
  $ godwit local list
  $ godwit local exec -t web sh
  $ godwit local stop web && godwit local destroy web`,
    )
}

export const openMachines = async (stateDir: string): Promise<LocalMachines> =>
  await (await import('#local')).LocalMachines.open(stateDir)

export const localSub = (name: string, description: string) =>
  new Command(name).description(description).summary(description).addOption(stateDirOption())

function listCommand(): Command {
  return localSub('list', 'list the machines')
    .alias('ls')
    .option('-a, --all', 'those that have ended, too')
    .option('--json', 'print them as JSON')
    .action(async ({ stateDir, all, json }: StateDir & { all?: true; json?: true }) => {
      const machines = await openMachines(stateDir)
      const shown = machines.list().filter(({ phase }) => all || phase !== 'ended')
      if (json) process.stdout.write(`${JSON.stringify(shown.map(machineJson), null, 2)}\n`)
      else process.stdout.write(renderTable([HEAD, ...shown.map(machineRow)]))
    })
    .addHelpText('after', '\nExamples:\n  $ godwit local list\n  $ godwit local list --all --json')
}

const HEAD = ['ID', 'NAME', 'IMAGE', 'STATE', 'PORTS']

function machineRow({ id, name, image, ports, ...record }: LocalRecord): string[] {
  const published = ports.map((one) => `${one.address}:${one.hostPort}->${one.machinePort}`)
  return [id, name, image.reference, stateText(record), published.join(' ')]
}

function stateText({ phase, exit, startedAtMs }: Partial<LocalRecord>): string {
  if (phase === 'ended' && exit !== undefined) {
    return exit.isOutOfMemory ? 'ended (out of memory)' : `ended (${exit.code})`
  }
  if (phase !== 'running' || startedAtMs === undefined) return phase ?? ''
  const seconds = Math.floor((Date.now() - startedAtMs) / 1000)
  return `running for ${formatDurationMs(seconds * 1000)}`
}

/** Without its environment and files: they may be secrets. */
export function machineJson(record: LocalRecord) {
  const { id, name, image, runtime, phase, ports, exit, createdAtMs, startedAtMs, plan } = record
  const time = (ms: number | undefined) =>
    ms === undefined ? undefined : new Date(ms).toISOString()
  return {
    ...{ id, name, image, runtime, state: phase, ports },
    memory_mib: record.config.memoryMib,
    cpus: record.config.cpu.count,
    command: plan?.config.argv,
    addresses: plan?.config.addresses?.map(({ cidr }) => cidr),
    created_at: time(createdAtMs),
    started_at: time(startedAtMs),
    exit:
      exit === undefined
        ? undefined
        : {
            code: exit.code,
            oom_killed: exit.isOutOfMemory,
            at: time(exit.atMs),
            error: exit.error,
          },
  }
}

interface ExecFlags extends StateDir {
  readonly tty?: true
  readonly interactive?: true
  readonly env: Record<string, string>
  readonly user?: string
  readonly workdir?: string
}

function execCommand(): Command {
  return localSub('exec', 'run a command in a machine, beside its own')
    .argument('<machine>', 'id, the beginning of one, or name')
    .argument('<command...>', 'what to run')
    .passThroughOptions()
    .option('-t, --tty', 'give it a terminal: this one')
    .option('-i, --interactive', 'input is passed on in any case')
    .addOption(
      new Option('-e, --env <name=value>', 'a variable').default({}, 'none').argParser(addVariable),
    )
    .option('-u, --user <user>', 'user[:group], names of the image or numbers')
    .option('-w, --workdir <path>', 'where it starts')
    .action(async (machine: string, words: string[], flags: ExecFlags) => {
      const machines = await openMachines(flags.stateDir)
      const record = machines.find(machine)
      const size = flags.tty ? terminalSize() : undefined
      const [program = '', ...rest] = words[0] === '--' ? words.slice(1) : words
      const term = process.env['TERM']
      using call = await machines.call(record, {
        ...{ op: 'exec', argv: [program, ...rest] },
        env: { ...(size && term ? { TERM: term } : {}), ...flags.env },
        ...(flags.user === undefined ? {} : { user: await userIn(record, flags.user) }),
        ...(flags.workdir === undefined ? {} : { cwd: flags.workdir }),
        ...(size === undefined ? {} : { size }),
      })
      const exit = await joinStreams(call, { isTty: size !== undefined, takesInput: true })
      process.exitCode = exit.code
    })
    .addHelpText(
      'after',
      '\nExamples:\n  $ godwit local exec web ps\n  $ godwit local exec -t -u root web sh',
    )
}

async function userIn({ userFiles }: LocalRecord, text: string) {
  const { resolveUser } = await import('#image')
  const { uid, gid, groups } = resolveUser(text, userFiles ?? { passwd: '', group: '' })
  return { uid, gid, groups: [...groups] }
}

function startCommand(): Command {
  return localSub('start', 'boot a machine that has ended, with the root that it left')
    .argument('<machine>', 'id, the beginning of one, or name')
    .action(async (machine: string, { stateDir }: StateDir) => {
      const machines = await openMachines(stateDir)
      const progress = new ProgressView()
      const view = { onUnpack: progress.step('unpack') }
      const found = machines.find(machine)
      const accelerator = await acceleratorFor(found.runtime, new AbortController().signal)
      const record = await machines
        .start(found, { view, accelerator })
        .finally(() => progress.end())
      process.stdout.write(`${record.id}\n`)
    })
    .addHelpText('after', '\nExample:\n  $ godwit local start web')
}

function stopCommand(): Command {
  return localSub('stop', 'ask machines to stop, and wait for their end')
    .argument('<machine...>', 'ids, beginnings of them, or names')
    .option('-s, --signal <signal>', "as SIGTERM or 15; else the image's")
    .option('--timeout <duration>', 'after which it is killed', '10s')
    .action(async (names: string[], flags: StateDir & { signal?: string; timeout: string }) => {
      const { stopSignalOf } = await import('#machine')
      const machines = await openMachines(flags.stateDir)
      const options = {
        timeoutMs: parseDurationMs(flags.timeout),
        ...(flags.signal === undefined ? {} : { signal: stopSignalOf(flags.signal) }),
      }
      for (const record of names.map((name) => machines.find(name))) {
        const { code } = await machines.stop(record, options)
        process.stdout.write(`${record.id} ended with ${code}${signalText(code)}\n`)
      }
    })
    .addHelpText('after', '\nExample:\n  $ godwit local stop --timeout 30s web')
}

function signalText(code: number): string {
  const name = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0]
  return code > 128 && name !== undefined ? ` (${name})` : ''
}

function destroyCommand(): Command {
  return localSub('destroy', 'remove machines with all that they wrote; volumes stay')
    .alias('rm')
    .argument('<machine...>', 'ids, beginnings of them, or names')
    .option('-f, --force', 'kill those that run')
    .action(async (names: string[], { stateDir, force }: StateDir & { force?: true }) => {
      const machines = await openMachines(stateDir)
      const ids: MachineId[] = []
      for (const record of names.map((name) => machines.find(name))) {
        await machines.destroy(record, { force: force === true })
        ids.push(record.id)
      }
      process.stdout.write(ids.map((id) => `${id}\n`).join(''))
    })
    .addHelpText('after', '\nExample:\n  $ godwit local destroy --force web')
}

function purgeCommand(): Command {
  return localSub('purge', 'remove everything: machines, volumes, images')
    .option('-f, --force', 'kill machines that run')
    .action(async ({ stateDir, force }: StateDir & { force?: true }) => {
      const machines = await openMachines(stateDir)
      await machines.purge({ force: force === true })
    })
    .addHelpText('after', '\nExample:\n  $ godwit local purge --force')
}
