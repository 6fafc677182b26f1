import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { sqlTokens } from './sql-tokens.ts'

test('tokens of any text are in order, do not overlap and leave out only space and comments', () => {
  const piece = fc.constantFrom(
    "'",
    '"',
    '`',
    '[',
    ']',
    '--',
    '/*',
    '*/',
    '\n',
    ' ',
    ';',
    '?1',
    'x',
  )
  const text = fc.array(fc.oneof(piece, fc.string()), { maxLength: 20 }).map((all) => all.join(''))
  fc.assert(
    fc.property(text, (sql) => {
      let end = 0
      for (const token of sqlTokens(sql)) {
        assert.match(
          sql.slice(end, token.start),
          /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?(?:\*\/|$))*$/,
        )
        assert.equal(sql.slice(token.start, token.end), token.text)
        assert.ok(token.end > token.start)
        end = token.end
      }
    }),
  )
})
