import assert from 'node:assert/strict'
import test from 'node:test'
import { findCircles } from './circles.ts'

const circles = (sources: Record<string, string>) =>
  findCircles(new Map(Object.entries(sources))).map(({ file, line, why }) => [file, line, why])

test('files that import each other are found, types included, with the way round', () => {
  const found = circles({
    'src/a/x.ts': "\nimport { y } from './deep/y.ts'",
    'src/a/deep/y.ts': "import type { Z } from '../z.ts'",
    'src/a/z.ts': "export { x } from './x.ts'",
    'src/a/index.ts': "export { x } from './x.ts'",
  })
  const round = 'src/a/deep/y.ts -> src/a/z.ts -> src/a/x.ts -> src/a/deep/y.ts'
  assert.deepEqual(found, [['src/a/deep/y.ts', 1, `files in a circle: ${round}`]])
})

test('a file that imports itself is a circle, and of several ways the shortest is shown', () => {
  assert.deepEqual(circles({ 'a.ts': "import './a.ts'" }), [
    ['a.ts', 1, 'files in a circle: a.ts -> a.ts'],
  ])
  const found = circles({
    'a.ts': "import './b.ts'\nimport './c.ts'",
    'b.ts': "import './d.ts'",
    'c.ts': "import './a.ts'",
    'd.ts': "import './a.ts'",
  })
  assert.deepEqual(found[0], ['a.ts', 2, 'files in a circle: a.ts -> c.ts -> a.ts'])
})

test('what leads one way is none, nor what leads into one', () => {
  const one = { 'a.ts': "import './b.ts'\nimport './c.ts'", 'b.ts': "import './c.ts'", 'c.ts': '' }
  assert.deepEqual(circles(one), [])
  const into = { 'a.ts': "import './b.ts'", 'b.ts': "import './c.ts'", 'c.ts': "import './b.ts'" }
  assert.deepEqual(circles(into), [['b.ts', 1, 'files in a circle: b.ts -> c.ts -> b.ts']])
})
