import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import test from 'node:test'
import { findImports } from './imports.ts'
import { layers } from './layers.ts'

const sources = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts', '*.mjs'])
  .toString()
  .split('\n')
  .filter((file) => file !== '' && existsSync(file) && file !== 'check/tidy.test.ts')

const linesWith = (files: readonly string[], pattern: RegExp) =>
  files.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
      ),
  )

const isTest = (file: string) => file.endsWith('.test.ts') || file.startsWith('test/')

for (const [banned, pattern, instead] of [
  ['a race against a timeout', /Promise\.race\(/, 'hand a signal to the work: startDeadline'],
  ['a swallowed error', /catch(\s*\([^)]*\))?\s*\{\s*\}/, 'handle it by code, or throw'],
  ['work put off', /\b(TODO|FIXME|XXX)\b/, 'do it, or write an issue'],
  ['a door that gives everything', /^export \* from/, 'name what others may use'],
  ['a skipped test', /\b(test|it|describe)\.(skip|only|todo)\(/, 'mend it or remove it'],
  ['a non-literal randomness', /Math\.random\(/, 'take a Random'],
] as const) {
  test(`no file has ${banned}: ${instead}`, () => {
    assert.deepEqual(linesWith(sources, pattern), [])
  })
}

test('no test sleeps for a fixed time: wait for the state with a deadline', () => {
  const sleeps =
    /await (delay|sleep|setTimeout)\(|await new Promise\(\(\w+\) => setTimeout\(\w+, [\d_]{3,}/
  assert.deepEqual(linesWith(sources.filter(isTest), sleeps), [])
})

test('no file is named after nothing', () => {
  const vague = /^(utils?|helpers?|misc|common|types)\.(ts|mjs)$/
  assert.deepEqual(
    sources.filter((file) => vague.test(basename(file))),
    [],
  )
})

/** Programs: they stand above all others, and nobody imports them. */
const isProgramPart = (part: string) => layers[0]?.includes(part) === true

test('every part of src has a door, and a test beside its code', () => {
  const parts = [...new Set(sources.flatMap((file) => /^src\/([^/]+)\//.exec(file)?.[1] ?? []))]
  for (const part of parts) {
    const own = sources.filter((file) => file.startsWith(`src/${part}/`))
    if (!isProgramPart(part)) assert(own.includes(`src/${part}/index.ts`), `${part} has no door`)
    if (part !== 'cli') assert(own.some(isTest), `${part} has no test`)
  }
})

test('every source file is used: imported, a door, a test, or a program', () => {
  const text = new Map(sources.map((file) => [file, readFileSync(file, 'utf8')]))
  const imported = new Set(
    [...text].flatMap(([file, source]) =>
      findImports(source)
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => normalize(join(dirname(file), specifier))),
    ),
  )
  const scripts = readFileSync('package.json', 'utf8')
  const isProgram = (file: string) =>
    /(^|\/)(main|run|all|index)\.ts$/.test(file) ||
    /^(bench|bin)\//.test(file) ||
    file.endsWith('.sim.ts') ||
    [...text].some(([other, source]) => other !== file && source.includes(`${basename(file)}'`)) ||
    scripts.includes(file) ||
    readFileSync('test/run.ts', 'utf8').includes(basename(file))
  const unused = sources.filter(
    (file) => !file.endsWith('.test.ts') && !imported.has(file) && !isProgram(file),
  )
  assert.deepEqual(unused, [])
})
