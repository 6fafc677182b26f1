import type { Command } from 'commander'
import { type HostOptions, hostConfigAt, onHost } from './host-option.ts'

type Print = (text: string) => void

/** `godwit host upgrade`: the daemons run what is installed now. */
export function hostUpgradeCommand(print: Print): Command {
  return onHost(
    'upgrade',
    'start the daemons of this host anew, with the code that is installed now',
  )
    .description(
      'Starts the daemons of this host anew, one after another, with the code and the host file that are there now; each ' +
        'when all others are ready, and the supervisor in the end. Machines run on, and the proxy hands its sockets over ' +
        'to its successor. Ends at the first daemon that does not come up; those after it are left as they are.',
    )
    .option(
      '--part <name...>',
      'only these, as `godwit host status` names them, and not the supervisor',
    )
    .option('--json', 'print JSON')
    .action(async ({ config, part: only, json }: HostOptions & { part?: string[] }) => {
      const { upgradeHost } = await import('#host')
      const done = await upgradeHost(await hostConfigAt(config), {
        ...(only === undefined ? {} : { only }),
        began: (name) => {
          if (!json) process.stderr.write(`${name} ...\n`)
        },
        ended: (part) => {
          if (!json) print(`${part.name} ${HOW[part.how]}${pids(part)}\n`)
        },
      })
      if (json) print(`${JSON.stringify(done, null, 2)}\n`)
    })
    .addHelpText(
      'after',
      `
Examples:
  $ git pull && npm run setup && godwit host upgrade
  $ godwit host upgrade --part proxy flyd`,
    )
}

const HOW = {
  restarted: 'is restarted',
  handed_over: 'has handed over',
  new: 'is new: it starts with the supervisor',
  replaced: 'is replaced; all parts run on',
} as const

const pids = ({ pidBefore, pid }: { pidBefore: number | null; pid: number | null }) =>
  pid === null ? '' : ` (pid ${pidBefore} -> ${pid})`
