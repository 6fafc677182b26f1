import type { Command } from 'commander'
import type { HostReport } from '#flyd'
import { waitMs } from './api/wait-time.ts'
import { showStatus } from './flyd-status.ts'
import { type HostOptions, onHost } from './host-option.ts'
import { interruption } from './interruption.ts'

type Print = (text: string) => void

const ANSWER_MS = 30_000
const HOST_ARGUMENT = [
  '[host]',
  'as `godwit host list` names it; this one, when it is left out',
] as const

const MODES = {
  cordon: {
    mode: 'cordoned',
    summary: 'let a host take no new machines; those that it has stay',
    next: 'godwit host uncordon takes that back',
  },
  uncordon: { mode: 'open', summary: 'let a host take machines again', next: '' },
  drain: {
    mode: 'draining',
    summary: 'let a host take no new machines, and begin to move those that it has to others',
    next: 'godwit host show says what moves and what stays; godwit host evacuate waits until it is empty',
  },
} as const

/** `godwit host cordon`, `uncordon`, `drain`. */
export function hostModeCommand(name: keyof typeof MODES, print: Print): Command {
  const { mode, summary, next } = MODES[name]
  return onHost(name, summary)
    .argument(...HOST_ARGUMENT)
    .option('--json', 'print JSON')
    .action(async (host: string | undefined, { config, json }: HostOptions) => {
      const { loadHostConfig, reachHost } = await import('#host')
      const signal = AbortSignal.timeout(ANSWER_MS)
      using reached = await reachHost(loadHostConfig(config), host, signal)
      const report = await reached.operations.setMode(mode, signal)
      if (json) return print(`${JSON.stringify(report, null, 2)}\n`)
      print(`${report.host} is ${report.mode}\n${next === '' ? '' : `next: ${next}\n`}`)
    })
    .addHelpText('after', `\nExamples:\n  $ godwit host ${name}\n  $ godwit host ${name} nrt-2`)
}

/** `godwit host show`: what a host has, and how full it is. */
export function hostShowCommand(print: Print): Command {
  return onHost('show', 'what a host has, how full it is, and what moves away from it')
    .argument(...HOST_ARGUMENT)
    .option('--json', 'print JSON')
    .action(async (host: string | undefined, { config, json }: HostOptions) => {
      const { loadHostConfig, reachHost } = await import('#host')
      const signal = AbortSignal.timeout(ANSWER_MS)
      using reached = await reachHost(loadHostConfig(config), host, signal)
      const report = await reached.operations.report(signal)
      print(json ? `${JSON.stringify(report, null, 2)}\n` : showStatus(report))
    })
    .addHelpText('after', '\nExamples:\n  $ godwit host show\n  $ godwit host show nrt-2 --json')
}

/** `godwit host evacuate`: drains a host, and waits. */
export function hostEvacuateCommand(print: Print): Command {
  return onHost('evacuate', 'drain a host, and wait until no machine is left on it')
    .description(
      'Drains a host and waits until no machine is left on it, while `drain` only begins that. Ends with 1 when machines ' +
        'stay that cannot move (volumes move with their machine; a machine stays when no other host of its region has room), ' +
        'and names them. The host stays drained, also after Ctrl-C: `godwit host uncordon` takes that back.',
    )
    .argument(...HOST_ARGUMENT)
    .option('--wait-timeout <time>', 'how long to wait: 90, 30m, none', '1h')
    .option('--json', 'print JSON')
    .action(
      async (
        host: string | undefined,
        { config, json, waitTimeout }: HostOptions & { waitTimeout: string },
      ) => {
        const { evacuateHost, loadHostConfig, machinesLeft, reachHost } = await import('#host')
        const { startDeadline, systemClock } = await import('#base')
        const signal = interruption()
        using deadline = startDeadline('the evacuation', waitMs(waitTimeout), { signal })
        using reached = await reachHost(loadHostConfig(config), host, deadline.signal)
        const report = await evacuateHost(reached.operations, {
          clock: systemClock,
          signal: deadline.signal,
          seen: (report) => {
            if (!json) process.stderr.write(progressLine(report, machinesLeft(report)))
          },
        })
        if (json) return print(`${JSON.stringify(report, null, 2)}\n`)
        print(`${report.host} is empty, and takes no machines until: godwit host uncordon\n`)
      },
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ godwit host evacuate\n  $ godwit host evacuate nrt-2 --wait-timeout 30m && ssh nrt-2 poweroff',
    )
}

function progressLine({ host, evacuation }: HostReport, left: number): string {
  const { moving, stay } = evacuation
  const stays = stay.map(({ machine, app, why }) => `  stays: ${machine} of ${app}: ${why}\n`)
  const count = left === 1 ? '1 machine' : `${left} machines`
  return `${host}: ${count} left, ${moving.length} moving\n${stays.join('')}`
}
