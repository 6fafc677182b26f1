import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { SealedAsk, sealAnswer } from './sealed-answer.ts'

test('who asked reads the answer, and nobody else does', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (text, context) => {
      const [ask, other] = [new SealedAsk(), new SealedAsk()]
      const sealed = sealAnswer(ask.publicKey, text, context)
      assert.equal(ask.open(sealed, context), text)
      assert.throws(() => other.open(sealed, context), { code: 'flyd.argument_bad' })
      assert.throws(() => ask.open(sealed, `${context}.`), { code: 'flyd.argument_bad' })
      const changed = Buffer.from(sealed.box, 'base64')
      changed.writeUInt8(changed.readUInt8(0) ^ 1, 0)
      const forged = { ...sealed, box: changed.toString('base64') }
      assert.throws(() => ask.open(forged, context), { code: 'flyd.argument_bad' })
    }),
    { numRuns: 30 },
  )
})

test('what is no key, and what is no sealed answer, is refused', () => {
  for (const key of ['', 'AAAA', Buffer.alloc(32).toString('base64'), 'x'.repeat(1_000)]) {
    assert.throws(() => sealAnswer(key, 'text', ''), { code: 'flyd.argument_bad' }, key)
  }
  const nothing = { publicKey: '', nonce: '', box: '' }
  assert.throws(() => new SealedAsk().open(nothing, ''), { code: 'flyd.argument_bad' })
})
