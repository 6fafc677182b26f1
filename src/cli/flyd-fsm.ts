import { Command, Option } from 'commander'
import { type Entry, FlydError, LmdbStore, type Run, type RunReader, runReader } from '#flyd'
import { renderTable } from './table.ts'

type Print = (text: string) => void

interface Common {
  readonly state: string
  readonly json?: true
}

const FOLDER = '/var/lib/godwit/flyd'

/** `godwit flyd fsm`: read from the log, beside the daemon that writes it. */
export function fsmCommand(print: Print): Command {
  return new Command('fsm')
    .summary('the state machines that make, change and end machines')
    .description(
      'The state machines that make, change and end machines; read from the log of flyd.',
    )
    .addCommand(listCommand(print))
    .addCommand(showCommand(print))
}

const stateOption = () =>
  new Option('--state <folder>', "flyd's state folder").env('GODWIT_FLYD_STATE').default(FOLDER)

interface ListOptions extends Common {
  readonly of?: string
  readonly kind?: string
  readonly outcome?: 'active' | 'done' | 'failed' | 'cancelled' | 'superseded'
  readonly limit: number
}

function listCommand(print: Print): Command {
  return new Command('list')
    .summary('runs, newest first: those under way and the last that ended')
    .description('Runs of state machines, newest first: those under way and the last that ended.')
    .addOption(stateOption())
    .option('--of <id>', 'of this machine or volume')
    .option('--kind <kind>', 'of this kind, such as machine.start')
    .addOption(
      new Option('--outcome <outcome>', 'that ended so').choices([
        'active',
        'done',
        'failed',
        'cancelled',
        'superseded',
      ]),
    )
    .addOption(new Option('--limit <count>', 'the newest ones').default(50).argParser(Number))
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ godwit flyd fsm list --outcome active       what is under way
  $ godwit flyd fsm list --of 148ed599c14189    what happened to one machine`,
    )
    .action(({ state, json, of, kind, outcome, limit }: ListOptions) =>
      reading(state, async (reader) => {
        const runs = await reader.list({ of, kind, state: outcome, limit })
        print(json ? `${JSON.stringify({ runs: runs.map(summaryOf) })}\n` : renderRuns(runs))
      }),
    )
}

function showCommand(print: Print): Command {
  return new Command('show')
    .summary('one run: each step with its times, tries and errors')
    .description('One run: each step with its times, tries and errors.')
    .argument('<id>', 'of the run, or the beginning of it')
    .addOption(stateOption())
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ godwit flyd fsm show 01K9')
    .action((id: string, { state, json }: Common) =>
      reading(state, async (reader) => {
        const run = await reader.show(id)
        if (run === undefined) {
          throw new FlydError('flyd.not_found', {
            what: 'no such run',
            values: { id },
            fix: 'godwit flyd fsm list shows those that are remembered',
          })
        }
        print(json ? `${JSON.stringify(run)}\n` : renderRun(run))
      }),
    )
}

async function reading(folder: string, read: (reader: RunReader) => Promise<void>): Promise<void> {
  await using store = LmdbStore.open({ folder, isReadOnly: true })
  await read(runReader(store))
}

const time = (ms: number): string => new Date(ms).toISOString()
const outcomeOf = ({ outcome }: Run): string => outcome ?? 'active'
const stepOf = ({ steps, at, way }: Run): string =>
  `${way === 'back' ? 'undoing ' : ''}${steps[at] ?? '-'}`

const summaryOf = (run: Run) => ({
  id: run.id,
  kind: run.kind,
  resource: run.resource,
  outcome: outcomeOf(run),
  step: run.steps[run.at] ?? null,
  way: run.way,
  tries: run.tries,
  accepted_at: time(run.acceptedAtMs),
  error: run.error ?? null,
})

function renderRuns(runs: readonly Run[]): string {
  if (runs.length === 0) return 'no runs\n'
  const rows = runs.map((run) => [
    run.id,
    run.kind,
    run.resource,
    outcomeOf(run),
    run.outcome === undefined ? stepOf(run) : '',
    String(run.tries),
    time(run.acceptedAtMs),
    run.error ?? '',
  ])
  return renderTable([
    ['ID', 'KIND', 'OF', 'OUTCOME', 'STEP', 'TRIES', 'ACCEPTED', 'ERROR'],
    ...rows,
  ])
}

function renderRun(run: Run): string {
  const head = `${run.id}  ${run.kind} of ${run.resource}: ${outcomeOf(run)}\n`
  const rows = run.entries.map((entry) => [
    time(entry.atMs),
    `+${entry.atMs - run.acceptedAtMs} ms`,
    'way' in entry && entry.way === 'back' ? 'undo' : entry.type,
    'step' in entry ? entry.step : '',
    detailOf(entry),
  ])
  return `${head}steps: ${run.steps.join(', ')}\n\n${renderTable([
    ['TIME', 'AFTER', 'WHAT', 'STEP', ''],
    ...rows,
  ])}`
}

function detailOf(entry: Entry): string {
  if (entry.type === 'finished') return entry.outcome
  if (entry.type === 'turned') return `${entry.reason}: ${entry.error}`
  if (entry.type !== 'failed') return ''
  const again = entry.retryAtMs === undefined ? '' : ` (again at ${time(entry.retryAtMs)})`
  return `${entry.error}${again}`
}
