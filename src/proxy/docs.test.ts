import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { defaultLimits } from './forward/limits.ts'
import { Fault, faultName, faultStatus } from './http1/fault.ts'
import { Counters } from './observe/counters.ts'
import { renderLoads, renderMetrics } from './observe/metrics.ts'
import { ROUTING_LIMITS } from './router/routing-limits.ts'
import { staticSchema } from './run/static-config.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/proxy.md'), 'utf8')
const rows = page.split('\n').filter((line) => line.startsWith('| '))
/** The cells of the row in which this cell names it, alone or beside others. */
const rowOf = (name: string, cell: number) =>
  rows
    .map((row) => row.split('|'))
    .find((cells) => cells[cell]?.trim().split(', ').includes(`\`${name}\``)) ?? []

/** Codes such as PC01 that the sources say. */
function codesOfSources(): Set<string> {
  const files = globSync('**/*.ts', { cwd: import.meta.dirname })
  const texts = files
    .filter((file) => !/\.(?:test|fixture|sim)\.ts$/.test(file))
    .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
  return new Set(texts.flatMap((text) => text.match(/(?<=')P[A-Z]\d\d(?=')/g) ?? []))
}

test('each error code of the sources is documented, and no other', () => {
  const documented = new Set(
    rows.flatMap((row) => (row.split('|')[1] ?? '').match(/\bP[A-Z]\d\d\b/g) ?? []),
  )
  assert.deepEqual([...documented].sort(), [...codesOfSources()].sort())
})

test('each fault of a request is documented, with its status', () => {
  for (const fault of Object.values(Fault)) {
    const [, , status = ''] = rowOf(faultName(fault), 3)
    assert.equal(status.trim(), String(faultStatus(fault)), faultName(fault))
  }
})

test('each metric is documented, and no other', () => {
  const counters = new Counters()
  counters.response('app', 200, 1)
  counters.machine('m', 'app')?.responses.add(200, 1)
  const text = renderMetrics(counters, 'tst') + renderLoads([], 'tst')
  const names = (text.match(/(?<=# TYPE )\w+/g) ?? []).sort()
  const documented = page.match(/\b(?:fly_(?:edge|app)|godwit_proxy)_\w+/g) ?? []
  assert.deepEqual([...new Set(documented)].sort(), names)
})

/** As the page writes it: `10 s`, `32 KiB`, `2,048`. */
function written(name: string, value: number): string {
  if (name.endsWith('Ms')) return `${value / 1000} s`
  if (/Bytes/.test(name) && value >= 1 << 10)
    return value >= 1 << 20 ? `${value / 2 ** 20} MiB` : `${value / 2 ** 10} KiB`
  return value.toLocaleString('en-US')
}

test('each limit is documented, with its default', () => {
  for (const [name, value] of Object.entries({ ...defaultLimits, ...ROUTING_LIMITS })) {
    const [, , cell = ''] = rowOf(name, 1)
    const values = cell.split(/; |, /).map((one) => one.trim())
    assert.ok(values.includes(written(name, value)), `${name}, ${written(name, value)}: ${cell}`)
  }
})

test('each limit of the file is one of the engine', () => {
  for (const name of Object.keys(staticSchema.properties.limits.properties)) {
    const limit = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    assert.ok(limit in defaultLimits, name)
  }
})
