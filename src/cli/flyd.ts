import { Command } from 'commander'
import { createLog, firstOf } from '#base'
import type { HostReport } from '#flyd'
import { acceleratorFor } from './accelerator.ts'
import { fsmCommand } from './flyd-fsm.ts'
import { showStatus } from './flyd-status.ts'

const CONFIG_FILE = '/etc/godwit/flyd.toml'
/** Of the guest that is booted to see whether KVM works. */
const TRIAL_MS_MAX = 120_000
const SOCKET = '/run/godwit/flyd.sock'

type Print = (text: string) => void

interface SocketOptions {
  readonly socket: string
  readonly json?: boolean
}

/** `godwit flyd`: the daemon that keeps the machines of a host. */
export function flydCommand(
  print: Print = (text) => void process.stdout.write(text),
  version = '',
): Command {
  return new Command('flyd')
    .summary('the machines of this host')
    .description('The daemon that keeps the machines of this host; docs/flyd.md is its manual.')
    .addCommand(runCommand(version))
    .addCommand(statusCommand(print))
    .addCommand(fsmCommand(print))
    .addCommand(logsCommand(print))
    .addCommand(modeCommand('cordon', 'cordoned', 'take no new machines', print))
    .addCommand(
      modeCommand(
        'drain',
        'draining',
        'take no new machines, and move those that are here to others',
        print,
      ),
    )
    .addCommand(modeCommand('uncordon', 'open', 'take new machines again', print))
}

function runCommand(version: string): Command {
  return new Command('run')
    .summary('keep the machines of this host until told to stop')
    .description(
      'Keeps the machines of this host, in the foreground. SIGTERM and SIGINT end it; the machines run on, and the next start takes them over.',
    )
    .option('-c, --config <file>', 'the configuration file', CONFIG_FILE)
    .action(async ({ config }: { config: string }) => {
      const { loadFlydConfig, openFlyd } = await import('#flyd')
      const log = createLog({ part: 'flyd' })
      const stop = new Promise<void>((resolve) => {
        process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve())
      })
      const loaded = loadFlydConfig(config)
      const accelerator = await acceleratorFor(loaded.runtime, AbortSignal.timeout(TRIAL_MS_MAX))
      const options = { log, version, ...(accelerator === undefined ? {} : { accelerator }) }
      {
        await using running = await openFlyd(loaded, options)
        const fault = await firstOf<unknown>(stop, running.broken, running.moved)
        if (fault !== undefined) throw fault
      }
      // All is let go. Node 26.10 still counts a timer that is no more, and would wait for it until it is killed.
      process.exit()
    })
    .addHelpText('after', `\nExample:\n  $ godwit flyd run --config flyd.toml`)
}

/** A command that asks the daemon that runs. */
const asking = (name: string, summary: string) =>
  new Command(name)
    .summary(summary)
    .description(summary)
    .option('--socket <file>', "the daemon's admin socket", SOCKET)
    .option('--json', 'print JSON')

async function ask<T>({ socket }: SocketOptions, path: string, method: 'GET' | 'POST' = 'GET') {
  const { askFlyd } = await import('#flyd')
  return (await askFlyd(socket, method, path)) as T
}

const asJson = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

function statusCommand(print: Print): Command {
  return asking('status', 'what this host has, and how full it is')
    .action(async (options: SocketOptions) => {
      const status = await ask<HostReport>(options, '/status')
      print(options.json ? asJson(status) : showStatus(status))
    })
    .addHelpText('after', `\nExample:\n  $ godwit flyd status`)
}

interface Line {
  readonly at: number
  readonly stream: string
  readonly text: string
}

function logsCommand(print: Print): Command {
  return asking('logs', 'what a machine of this host has said')
    .argument('<machine>', 'its id')
    .option('--limit <lines>', 'the last so many', '100')
    .action(async (id: string, options: SocketOptions & { limit: string }) => {
      const path = `/logs/${encodeURIComponent(id)}?limit=${Number(options.limit)}`
      const lines = await ask<Line[]>(options, path)
      const shown = lines.map(({ at, stream, text }) => {
        return `${new Date(at).toISOString()} ${stream.padEnd(8)} ${text}\n`
      })
      print(options.json ? asJson(lines) : shown.join(''))
    })
    .addHelpText('after', `\nExample:\n  $ godwit flyd logs 3d8d413b29d089 --limit 20`)
}

function modeCommand(name: string, mode: string, summary: string, print: Print): Command {
  return asking(name, `this host: ${summary}`)
    .action(async (options: SocketOptions) => {
      const status = await ask<HostReport>(options, `/mode?is=${mode}`, 'POST')
      const next = mode === 'draining' ? ': godwit flyd status shows what moves and what stays' : ''
      print(options.json ? asJson(status) : `${status.host} is ${status.mode}${next}\n`)
    })
    .addHelpText('after', `\nExample:\n  $ godwit flyd ${name}`)
}
