import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { newKeyLine, SealRing } from './seal-ring.ts'

const refusals = {
  badRing: (what: string) => new Error(`bad ring: ${what}`),
  keyMissing: (key: string) => new Error(`key missing: ${key}`),
  tampered: (context: string) => new Error(`tampered: ${context}`),
}
const firstLine = newKeyLine('first', seededRandom(1))
const secondLine = newKeyLine('second', seededRandom(2))
const ringOf = (text: string) => new SealRing(text, seededRandom(3), refusals)

test('the last line seals, every line opens, and only for the same context', () => {
  const before = ringOf(firstLine)
  const after = ringOf(`# of the spring\n${firstLine}\n${secondLine}`)
  const sealed = before.seal(Buffer.from('swordfish'), 'here')
  assert.equal(after.open(sealed, 'here').toString(), 'swordfish')
  assert.deepEqual([before.isNewest(sealed), after.isNewest(sealed)], [true, false])
  assert.throws(() => after.open(sealed, 'there'), /tampered: there/)
  assert.throws(() => before.open(after.seal(Buffer.from('x'), 'here'), 'here'), /missing: second/)
})

test('a ring that follows its file knows a key that another process added, and keeps what it knew while it cannot be read', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-ring-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'ring')
  writeFileSync(file, firstLine, { mode: 0o600 })
  const following = new SealRing(firstLine, seededRandom(3), refusals, file)
  const old = following.seal(Buffer.from('old'), 'here')
  appendFileSync(file, 'half a li')
  assert.equal(following.open(old, 'here').toString(), 'old')
  writeFileSync(file, `${firstLine}${secondLine}`)
  const sealed = ringOf(`${firstLine}${secondLine}`).seal(Buffer.from('new'), 'here')
  assert.equal(following.open(sealed, 'here').toString(), 'new')
  assert(following.isNewest(following.seal(Buffer.from('x'), 'here')))
  assert.equal(following.isNewest(old), false)
  writeFileSync(file, secondLine)
  assert.throws(() => following.open(old, 'here'), /missing: first/)
  rmSync(file)
  assert.equal(following.open(sealed, 'here').toString(), 'new')
})

test('holders of one ring derive the same, another key or another use something else', () => {
  const derived = ringOf(firstLine).derive('tickets', 32)
  assert.deepEqual(ringOf(firstLine).derive('tickets', 32), derived)
  assert.notDeepEqual(ringOf(firstLine).derive('cookies', 32), derived)
  assert.notDeepEqual(ringOf(`${firstLine}${secondLine}`).derive('tickets', 32), derived)
})

test('a text that is no ring is refused, with the line', () => {
  for (const text of ['', '# nothing\n']) assert.throws(() => ringOf(text), /bad ring: .*empty/)
  for (const text of ['a b\n', `${firstLine}${firstLine}`, `${firstLine.trim()} more\n`]) {
    assert.throws(() => ringOf(text), /bad ring: a line/)
  }
})

test('whatever byte of a sealed value is changed, it does not open', () => {
  const ring = ringOf(firstLine)
  const sealed = ring.seal(Buffer.from('swordfish'), 'here')
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ mask
      assert.throws(() => ring.open(changed, 'here'), /tampered|key missing/)
    }),
  )
})

test('what is no sealed value at all gives a typed error', () => {
  const ring = ringOf(firstLine)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      assert.throws(() => ring.open(bytes, 'here'), /tampered|key missing/)
    }),
  )
})
