import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { ensurePiece, isPieceReady, type Piece } from './piece.ts'

function setting(t: TestContext) {
  const build = mkdtempSync(join(tmpdir(), 'piece-'))
  t.after(() => rmSync(build, { recursive: true }))
  const state = { input: 'one', built: 0, failing: false }
  const piece: Piece<undefined> = {
    name: 'thing',
    why: 'a test',
    inputs: () => [state.input],
    outputs: ['out'],
    async build(folder) {
      state.built += 1
      assert.deepEqual(readdirSync(folder), [], 'the folder is empty')
      writeFileSync(join(folder, 'out'), state.input)
      if (state.failing) throw new Error('no mirror')
    },
  }
  return { build, state, piece, out: join(build, 'thing', 'out') }
}

test('a piece is built once, and again when its inputs change or an output is gone', async (t) => {
  const { build, state, piece, out } = setting(t)
  assert.equal(isPieceReady(piece, build), false)
  assert.equal(await ensurePiece(piece, build, undefined), true)
  assert.equal(isPieceReady(piece, build), true)
  assert.equal(await ensurePiece(piece, build, undefined), false)
  state.input = 'two'
  assert.equal(await ensurePiece(piece, build, undefined), true)
  assert.equal(readFileSync(out, 'utf8'), 'two')
  rmSync(out)
  assert.equal(await ensurePiece(piece, build, undefined), true)
  assert.equal(state.built, 3)
})

test('a failed build leaves the old piece whole, and nothing else', async (t) => {
  const { build, state, piece, out } = setting(t)
  await ensurePiece(piece, build, undefined)
  Object.assign(state, { input: 'two', failing: true })
  await assert.rejects(ensurePiece(piece, build, undefined), /no mirror/)
  assert.equal(readFileSync(out, 'utf8'), 'one')
  assert.deepEqual(readdirSync(build), ['thing'])
})

test('what a killed build left behind is no piece, and is cleared away', async (t) => {
  const { build, piece } = setting(t)
  mkdirSync(join(build, '.thing.new'))
  writeFileSync(join(build, '.thing.new', 'out'), 'half')
  assert.equal(isPieceReady(piece, build), false)
  await ensurePiece(piece, build, undefined)
  assert.deepEqual(readdirSync(build), ['thing'])
})
