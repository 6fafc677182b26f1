/**
 * `npm run bench -- NAME [--json]`: runs one benchmark, prints a table, and with `--json` one JSON
 * object as the last line. `npm run bench -- --list` names them all.
 */
import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { nearest } from '#base'
import type { Bench, Figure } from './figures.ts'
import { rounded } from './figures.ts'

const NOT_BENCHES = new Set(['run.ts', 'figures.ts'])

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !NOT_BENCHES.has(file))
  .map((file) => file.slice(0, -'.ts'.length))
  .sort()

const load = async (name: string) => (await import(`./${name}.ts`)) as { bench: Bench }

async function list(): Promise<void> {
  for (const name of names) console.log(`${name.padEnd(12)}${(await load(name)).bench.summary}`)
}

async function runOne(name: string, json: boolean): Promise<void> {
  const { bench } = await load(name)
  const startedMs = performance.now()
  const progress = (step: string) => {
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    process.stderr.write(`${seconds.padStart(7)} s  ${step}\n`)
  }
  const figures = await bench.run(progress)
  printTable(figures)
  if (!json) return
  const values = Object.fromEntries(figures.map(({ key, value }) => [key, rounded(value)]))
  console.log(JSON.stringify({ bench: name, ...values }))
}

function printTable(figures: readonly Figure[]): void {
  for (const { key, value, what, better } of figures) {
    console.log(
      `${String(rounded(value)).padStart(10)}  ${key.padEnd(28)}  ${what} (${better} is better)`,
    )
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, list: { type: 'boolean' } },
})
const [name] = positionals
if (values.list === true || name === undefined) await list()
else if (names.includes(name)) await runOne(name, values.json === true)
else {
  const near = nearest(name, names)
  console.error(`error: no benchmark '${name}'`)
  console.error(near === undefined ? 'fix: npm run bench -- --list' : `fix: did you mean ${near}?`)
  process.exitCode = 2
}
