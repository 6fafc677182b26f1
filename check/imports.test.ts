import assert from 'node:assert/strict'
import test from 'node:test'
import { checkImports, findImports } from './imports.ts'

const why = (file: string, source: string) => checkImports(file, source).map((found) => found.why)

test('every form of import is found, with its line', () => {
  const source = [
    `import a from './a.ts'`,
    `import type { B } from '#b'`,
    `export { c } from "./c.ts"`,
    `import {`,
    `  d,`,
    `} from './d.ts'`,
    `const e = await import('#e')`,
    `import './f.ts'`,
  ].join('\n')
  assert.deepEqual(
    findImports(source).map(({ specifier, line }) => `${line} ${specifier}`),
    ['1 ./a.ts', '2 #b', '3 ./c.ts', '6 ./d.ts', '7 #e', '8 ./f.ts'],
  )
})

test('a deep import fails, by subpath and by relative path', () => {
  assert.match(why('src/cli/main.ts', `import '#base/clock.ts'`)[0] ?? '', /one door/)
  assert.match(why('src/cli/main.ts', `import '../base/clock.ts'`)[0] ?? '', /write '#base'/)
  assert.match(why('test/x.test.ts', `import '../src/base/clock.ts'`)[0] ?? '', /write '#base'/)
})

test('an upward and a sideways import fail, a downward one does not', () => {
  assert.match(why('src/base/clock.ts', `import '#planet'`)[0] ?? '', /upward/)
  assert.match(why('src/guest/a.ts', `import type { A } from '#image'`)[0] ?? '', /sideways/)
  assert.deepEqual(why('src/planet/a.ts', `import '#base'`), [])
})

test('fast-check itself is imported where its seed is set, and nowhere else', () => {
  assert.match(why('src/base/a.test.ts', `import fc from 'fast-check'`)[0] ?? '', /#property/)
  assert.deepEqual(why('src/property/index.ts', `import fc from 'fast-check'`), [])
  assert.deepEqual(why('src/base/a.test.ts', `import { fc } from '#property'`), [])
})

test('a part that nobody placed fails', () => {
  assert.match(why('src/attic/a.ts', `import '#base'`)[0] ?? '', /layers.ts/)
})

test('a file may not import the door of its own part, its test may', () => {
  assert.match(why('src/base/clock.ts', `import './index.ts'`)[0] ?? '', /own door/)
  assert.deepEqual(why('src/base/base.test.ts', `import './index.ts'`), [])
})
