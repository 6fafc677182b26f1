import { type Log, systemClock, systemRandom } from '#base'
import { CheckRunner } from '../checks/check-runner.ts'
import type { HostEffects } from '../effects/host-effects.ts'
import type { LocalHost } from '../local-host.ts'
import type { LogSink } from '../logs/machine-logs.ts'
import type { MachineSeen } from '../model/machine-seen.ts'
import type { RowPublisher } from '../rows/row-publisher.ts'

const SCRIPT_MS_MAX = 60_000

interface Around {
  readonly hostId: string
  readonly host: LocalHost
  readonly effects: HostEffects
  readonly logs: LogSink
  readonly rows: RowPublisher
  readonly log: Log
}

/** Health checks of this host's machines: changes go to the rows and to each machine's log. */
export function runChecks({ hostId, host, effects, logs, rows, log }: Around): CheckRunner {
  const targetOf = ({ id }: MachineSeen) => ({
    addresses: effects.addressesOf(id),
    exec: async (command: readonly string[], signal: AbortSignal) => {
      const around = { stdin: '', container: undefined, inMachine: true }
      const options = { command, timeoutMs: SCRIPT_MS_MAX, ...around }
      const { exit_code: exitCode, stdout, stderr } = await effects.exec(id, options, signal)
      return { exitCode, output: `${stdout}${stderr}` }
    },
  })
  return new CheckRunner({
    hostId,
    view: host.view,
    targetOf,
    onChange: (id) => rows.checksChanged(id),
    tell: (id, line) => {
      logs.write(id, 'platform', [line]).catch((err: unknown) => {
        log.warn({ err, machine: id }, 'a line for a machine is lost')
      })
    },
    clock: systemClock,
    random: systemRandom,
    log,
  })
}
