import { type Command, Option } from 'commander'
import { ApiInputError } from './input-error.ts'

/** What the options of `machine run`, `create`, `update` and `clone` say of a machine, as commander gives it. */
export interface MachineSettings {
  readonly env: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
  readonly port: readonly string[]
  readonly fileLocal: readonly string[]
  readonly fileLiteral: readonly string[]
  readonly fileSecret: readonly string[]
  readonly kernelArg: readonly string[]
  readonly vmSize?: string
  readonly vmCpus?: string
  readonly vmCpuKind?: string
  readonly vmMemory?: string
  readonly hostDedicationId?: string
  readonly restart?: string
  readonly schedule?: string
  readonly entrypoint?: string
  readonly command?: string
  readonly autostop?: string | boolean
  readonly autostart?: boolean
  readonly standbyFor?: string
  readonly skipDnsRegistration?: boolean
  readonly machineConfig?: string
}

/** Adds the options of the size. */
export const withSize = (command: Command): Command =>
  command
    .addOption(new Option('--vm-size <preset>', '`godwit platform vm-sizes` lists them'))
    .addOption(new Option('--vm-cpus <count>', 'virtual CPUs'))
    .addOption(new Option('--vm-cpu-kind <kind>', 'shared or performance'))
    .addOption(new Option('--vm-memory <size>', 'such as 512mb; a bare number is MB'))
    .addOption(new Option('--host-dedication-id <id>', 'only on hosts that are dedicated so'))

/** Adds the options of all that a machine's configuration says. */
export const withSettings = (command: Command): Command =>
  withSize(command)
    .addOption(pairs('-e, --env <NAME=value>', 'environment; repeatable'))
    .addOption(pairs('-m, --metadata <key=value>', 'metadata; repeatable; `key=` removes it'))
    .addOption(
      collected('-p, --port <spec>', 'EXTERNAL[:INTERNAL][/PROTOCOL[:HANDLER...]]; `-`: none'),
    )
    .addOption(collected('--file-local <path=file>', 'a file in the machine, from one here'))
    .addOption(collected('--file-literal <path=text>', 'a file in the machine, with that text'))
    .addOption(collected('--file-secret <path=NAME>', 'a file in the machine, from a secret'))
    .addOption(collected('--kernel-arg <arg>', 'for its kernel; repeatable'))
    .addOption(new Option('--restart <policy>', 'no, on-failure, always, or spot-price'))
    .addOption(new Option('--schedule <period>', 'hourly, daily, weekly, monthly; none: no more'))
    .addOption(new Option('--entrypoint <command>', "instead of the image's"))
    .addOption(new Option('--autostop [how]', 'off, stop or suspend; alone: stop'))
    .addOption(new Option('--no-autostop', 'the same as off').hideHelp())
    .addOption(new Option('--autostart', 'start it when requests come'))
    .addOption(new Option('--no-autostart', 'do not'))
    .addOption(new Option('--standby-for <ids>', 'start it when the host of these is gone; "": no'))
    .addOption(new Option('--skip-dns-registration', 'give it no .internal name'))
    .addOption(
      new Option('--machine-config <json>', 'keys of its configuration: JSON, or a file with it'),
    )

const collected = (flags: string, description: string) =>
  new Option(flags, description)
    .argParser((one: string, all: readonly string[]) => [...all, one])
    .default([], 'none')

const pairs = (flags: string, description: string) =>
  new Option(flags, description)
    .argParser((one: string, all: Readonly<Record<string, string>>) => {
      const at = one.indexOf('=')
      if (at > 0) return { ...all, [one.slice(0, at)]: one.slice(at + 1) }
      throw new ApiInputError('cli.bad_value', {
        what: 'not a name and a value',
        values: { value: one },
        fix: 'write it as NAME=value',
      })
    })
    .default({}, 'none')
