import { createInterface } from 'node:readline/promises'
import { type Command, Option } from 'commander'
import type { Machine } from '#flaps-client'
import type { AppSession } from './app-command.ts'
import { ApiInputError } from './input-error.ts'
import { machineTable } from './machine-table.ts'

export interface MachineChoice {
  readonly machine?: string
  readonly region?: string
  readonly select?: boolean
  readonly processGroup?: string
}

/** Adds the options that say which machine of an app is meant. */
export const withMachineChoice = (command: Command): Command =>
  command
    .addOption(new Option('--machine <id>', 'this machine'))
    .addOption(new Option('-r, --region <code>', 'one that is there'))
    .addOption(new Option('-g, --process-group <name>', 'one of this group'))
    .addOption(new Option('-s, --select', 'show them, and ask which'))

/** A machine that runs. Of several the first, by region and name. @throws ApiInputError cli.failed */
export async function chooseMachine(
  { machines, app }: AppSession,
  { machine: id, region, select, processGroup: group }: MachineChoice,
): Promise<Machine> {
  if (id !== undefined) return await machines.get(id)
  const all = await machines.list()
  const started = all.filter(({ state }) => state === 'started').sort(byPlace)
  const running = started.filter((one) => group === undefined || groupOf(one) === group)
  const fit = running.filter((one) => region === undefined || one.region === region)
  const [first] = fit
  if (first !== undefined) return select ? await askWhich(fit) : first
  const whose = group === undefined ? app : `${app}'s group ${group}`
  const regions = [...new Set(running.map((one) => one.region))]
  throw new ApiInputError('cli.failed', {
    what:
      running.length > 0 ? `no machine of ${app} runs in ${region}` : `no machine of ${whose} runs`,
    values: running.length > 0 ? { regions } : { machines: all.length },
    fix:
      running.length > 0
        ? `give one of these regions: ${regions.join(', ')}`
        : all.length === 0
          ? 'make some: godwit deploy'
          : `start one: godwit machine start ${all[0]?.id} -a ${app}`,
  })
}

const groupOf = ({ config }: Machine) => config?.metadata?.['fly_process_group'] ?? 'app'

const byPlace = (a: Machine, b: Machine) =>
  `${a.region} ${a.name}` < `${b.region} ${b.name}` ? -1 : 1

/** Shows machines and asks for one. Without a terminal they are named in the error. @throws ApiInputError cli.failed */
export async function askWhich(machines: readonly Machine[]): Promise<Machine> {
  if (!process.stdin.isTTY) {
    throw new ApiInputError('cli.failed', {
      what: 'which machine? nobody is there to ask',
      values: { machines: machines.map(({ id, region }) => `${id} (${region})`).join(', ') },
      fix: 'give the id of one, or its --region where the command takes that',
    })
  }
  process.stderr.write(machineTable(machines))
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = (await asking.question('Which? (number in this list, or id) ')).trim()
    const found = machines.find(({ id }) => id === answer) ?? machines[Number(answer) - 1]
    if (found !== undefined) return found
    throw new ApiInputError('cli.failed', {
      what: 'not one of these machines',
      values: { answer },
      fix: 'answer with the number of a line, or with an id',
    })
  } finally {
    asking.close()
  }
}
