import assert from 'node:assert/strict'
import test from 'node:test'
import { Counter, Histogram, Registry } from 'prom-client'
import { fc } from '#property'
import { MetricSet } from './metric-set.ts'
import { parseMetrics } from './parse-metrics.ts'
import { matchesAny, parseSelector, parseSelectors } from './selector.ts'

const ALL = 2 ** 20
const around = new Map([
  ['app', 'heron'],
  ['instance', 'm1'],
])

async function throughSet(text: string, selectors?: readonly string[]): Promise<string> {
  const set = new MetricSet({
    charsMax: ALL,
    selectors: selectors === undefined ? undefined : parseSelectors(selectors),
  })
  set.addFamilies(await parseMetrics(text))
  return set.text()
}

test('what the library of an app writes comes through unchanged, but for comments', async () => {
  const registry = new Registry()
  const labelNames = ['path']
  const asked = new Counter({ name: 'asked_total', help: 'a', labelNames, registers: [registry] })
  asked.inc({ path: 'a "quoted" \\ path\nof two lines' }, 3)
  const buckets = [0.1, 1]
  const took = new Histogram({ name: 'took_seconds', help: 'b', buckets, registers: [registry] })
  took.observe(0.5)
  const text = await registry.metrics()
  const linesOf = (all: string) =>
    all.split('\n').filter((line) => line !== '' && !/^# HELP/.test(line))
  assert.deepEqual(linesOf(await throughSet(text)), linesOf(text))
})

test('odd but right texts are read', async () => {
  const text =
    '# a comment\r\n\t# TYPE a gauge\na{x="1",} 1 1700000000000\n\na { y = "2" , x="}" } -Inf\nb 0x1\n'.replace(
      'b 0x1\n',
      'b NaN\n# EOF',
    )
  assert.equal(
    await throughSet(text),
    '# TYPE a gauge\na{x="1"} 1\na{y="2",x="}"} -Inf\n# TYPE b untyped\nb NaN\n',
  )
})

test('what is no such text is refused with its line', async () => {
  const bad = [
    ...['a', 'a b', '1a 2', 'a{x=1} 2', 'a{x="1" 2', 'a{x="1",x="2"} 3', 'a{1x="1"} 2', 'a 1 2 3'],
    ...['a{x="unclosed} 1', 'a 1 later', '# TYPE a colour', '# TYPE 1a gauge', 'a 1e', '<html>'],
  ]
  for (const line of bad) {
    await assert.rejects(
      parseMetrics(`ok 1\n${line}\n`),
      { code: 'observe.metrics_bad', values: { line: 2 } },
      line,
    )
  }
  const many = { seriesMax: 2 }
  await assert.rejects(parseMetrics('a 1\nb 2\nc 3\n', many), { code: 'observe.metrics_bad' })
})

test('no text takes the reader down, and what it reads it reads again', async () => {
  const line = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.constantFrom('a 1', 'a{x="1"} 2', '# TYPE a counter', 'a{__proto__="1",constructor="2"} 3'),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), async (lines) => {
      const text = lines.join('\n')
      const families = await parseMetrics(text).catch((error: { code?: string }) => error.code)
      if (!Array.isArray(families)) return assert.equal(families, 'observe.metrics_bad')
      const once = await throughSet(text)
      assert.equal(await throughSet(once), once)
    }),
  )
})

test('labels of the platform stand over those of the app, and one series stands once', async () => {
  const set = new MetricSet({ charsMax: ALL })
  set.addFamilies(await parseMetrics('a{instance="x"} 1\na{instance="y"} 2\na{z="1"} 3\n'), around)
  assert.equal(
    set.text(),
    '# TYPE a untyped\na{instance="m1",app="heron"} 1\na{z="1",app="heron",instance="m1"} 3\n',
  )
})

test('what finds no room is counted', async () => {
  const set = new MetricSet({ charsMax: 60 })
  set.addFigures(
    Array.from({ length: 9 }, (_, n) => ({ name: `figure_${n}`, type: 'gauge', value: n })),
  )
  assert(set.text().length <= 80)
  assert(set.leftOut > 0)
})

test('selectors select as those of Prometheus do', () => {
  const series = { name: 'up', labels: new Map([['app', 'heron']]), value: '1' }
  const selects = (text: string) => matchesAny([parseSelector(text)], series)
  const does = ['up', 'up{}', '{app="heron"}', '{__name__=~"u."}', 'up{app=~"her|ron|heron"}']
  const too = [
    "up{app='heron'}",
    'up{app=`heron`,}',
    'up { nil = "" , app != "x" }',
    'up{app="\\x68eron"}',
  ]
  const doesNot = ['down', 'up{app="tern"}', 'up{app=~"hero"}', 'up{app!~"h.*"}', 'up{nil=~".+"}']
  assert.deepEqual(
    [...does, ...too].filter((one) => !selects(one)),
    [],
  )
  assert.deepEqual(doesNot.filter(selects), [])
})

test('what selects nothing, or everything by mistake, is refused', () => {
  const bad = [
    '',
    '{}',
    '{app=""}',
    '{__name__=~".*"}',
    'up{',
    'up{app}',
    'up{app="x"',
    'up{app="x"} 1',
  ]
  const too = [
    'up{app=~"("}',
    'rate(up[5m])',
    'up[5m]',
    'sum(up)',
    '1',
    'up{app="\\q"}',
    'u'.repeat(3000),
  ]
  for (const one of [...bad, ...too]) {
    assert.throws(() => parseSelector(one), { code: 'observe.selector_bad' }, one)
  }
  assert.throws(() => parseSelectors([]), { code: 'observe.selector_bad' })
})

test('an expression that would take ages elsewhere takes none here', () => {
  const [selector] = parseSelectors(['{a=~"(a+)+b"}'])
  assert(selector !== undefined)
  const labels = new Map([['a', 'a'.repeat(4000)]])
  assert.equal(matchesAny([selector], { name: 'x', labels, value: '1' }), false)
})
