import { Command } from 'commander'
import { agentPlaces } from './corrosion-options.ts'

interface SqlOptions {
  readonly param: readonly string[]
  readonly columns?: true
  readonly timer?: true
  readonly timeout?: string
  readonly json?: true
}

/** Commands that read and write rows through the agent's API. */
export function sqlCommands(): Command[] {
  return [queryCommand(), execCommand()]
}

function onSql(name: string, summary: string): Command {
  return new Command(name)
    .summary(summary)
    .argument('<sql>', 'one statement')
    .option('--param <value>', 'a parameter, bound as text; may be given again', collect, [])
    .option('--timer', 'print how long it took')
    .option('--timeout <seconds>', 'give up after')
}

const collect = (value: string, before: readonly string[]) => [...before, value]

function queryCommand(): Command {
  return onSql('query', 'print the rows of a query')
    .description(
      "Prints a line for each row, cells divided by |. Binary values are shown as x'00ff'.",
    )
    .option('--columns', 'print the names of the columns first')
    .option('--json', 'print an array of JSON objects')
    .action(async (sql: string, options: SqlOptions, command: Command) => {
      const corrosion = await import('#corrosion')
      const client = await openClient(command)
      const startMs = performance.now()
      const rows = client.query(sql, options.param, { timeoutSeconds: secondsOf(options) })
      const objects: unknown[] = []
      for await (const event of rows) {
        if (options.json) {
          if (event.kind === 'row') objects.push(corrosion.asObject(event.columns, event.cells))
        } else if (event.kind === 'row')
          process.stdout.write(`${event.cells.map(shown).join('|')}\n`)
        else if (options.columns) process.stdout.write(`${event.columns.join('|')}\n`)
      }
      if (options.json) process.stdout.write(`${JSON.stringify(objects, null, 2)}\n`)
      if (options.timer) process.stderr.write(`time: ${secondsSince(startMs)}s\n`)
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit corrosion query 'SELECT id, state FROM machines' --columns
  $ godwit corrosion query 'SELECT * FROM machines WHERE app = ?' --param hello --json`,
    )
}

function execCommand(): Command {
  return onSql('exec', 'run a statement that writes')
    .description(
      'Runs one statement in a transaction of its own and prints how many rows it touched.',
    )
    .option('--json', 'print JSON')
    .action(async (sql: string, options: SqlOptions, command: Command) => {
      const client = await openClient(command)
      const startMs = performance.now()
      const { rowsAffected, version } = await client.execute(sql, options.param, {
        timeoutSeconds: secondsOf(options),
      })
      if (options.json) {
        process.stdout.write(`${JSON.stringify({ rows_affected: rowsAffected, version })}\n`)
      } else process.stdout.write(`Rows affected: ${rowsAffected}\n`)
      if (options.timer) process.stderr.write(`time: ${secondsSince(startMs)}s\n`)
    })
    .addHelpText(
      'after',
      `\nExample:\n  $ godwit corrosion exec "DELETE FROM tests WHERE id = ?" --param 7`,
    )
}

async function openClient(command: Command) {
  const { ApiClient } = await import('#corrosion')
  const places = await agentPlaces(command)
  const token = places.bearerToken()
  return new ApiClient({
    url: places.apiUrl(),
    ...(token === undefined ? {} : { bearerToken: token }),
  })
}

function shown(cell: unknown): string {
  if (cell === null) return ''
  if (!Array.isArray(cell)) return String(cell)
  return `x'${Buffer.from(cell.map(Number)).toString('hex')}'`
}

const secondsOf = ({ timeout }: SqlOptions) => (timeout === undefined ? undefined : Number(timeout))
const secondsSince = (startMs: number) => ((performance.now() - startMs) / 1_000).toFixed(6)
