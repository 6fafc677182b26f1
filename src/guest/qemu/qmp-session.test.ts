import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fc } from '#property'
import { LINE_BYTES_MAX, type QmpAction, type QmpCommand, QmpSession } from './qmp-session.ts'

interface Line {
  readonly from: 'qemu' | 'client'
  readonly message: unknown
}
const path = join(import.meta.dirname, '../../../test/fixtures/qemu/qmp.json')
const { transcripts } = JSON.parse(readFileSync(path, 'utf8')) as {
  transcripts: Record<string, Line[]>
}
/** There QEMU was sent what no client of ours sends. */
const PROVOKED = 'negotiation-errors-balloon-stop-cont'
const END = '(end of stream)'
const bytesOf = (message: unknown) => Buffer.from(`${JSON.stringify(message)}\r\n`)
const greeting = bytesOf({ QMP: { version: {}, capabilities: ['oob'] } })
const negotiated = bytesOf({ return: {}, id: 0 })

function readySession(): QmpSession {
  const session = new QmpSession()
  session.receive(greeting)
  session.receive(negotiated)
  return session
}

/** What real QEMU said, with the ids that our session would have given its commands. */
function replay(lines: readonly Line[], cut: (bytes: Buffer) => Buffer[]): QmpAction[] {
  const session = new QmpSession()
  const ids: number[] = []
  const actions: QmpAction[] = []
  for (const { from, message } of lines) {
    if (from === 'client') {
      const command = message as QmpCommand
      ids.push(command.execute === 'qmp_capabilities' ? 0 : session.send(command).id)
      continue
    }
    if (message === END) return [...actions, ...session.lose('QEMU closed its socket')]
    const said = message as Record<string, unknown>
    const isReply = 'return' in said || 'error' in said
    const { id: _, ...rest } = said
    const id = isReply ? ids.shift() : undefined
    const bytes = bytesOf(isReply ? { ...rest, id } : said)
    for (const piece of cut(bytes)) actions.push(...session.receive(piece))
  }
  return actions
}

describe('a session with QEMU', () => {
  const { [PROVOKED]: provoked = [], ...orderly } = transcripts
  for (const [name, lines] of Object.entries(orderly)) {
    test(`understands all that QEMU said: ${name}`, () => {
      const whole = replay(lines, (bytes) => [bytes])
      const events = whole.filter(({ type }) => type === 'tellEvent').length
      const told = lines.filter(({ message }) => Object.hasOwn(Object(message), 'event')).length
      assert.equal(events, told)
      const losses = whole.filter(({ type }) => type === 'lose').length
      assert.equal(losses, lines.at(-1)?.message === END ? 1 : 0)
      const inBytes = replay(lines, (bytes) =>
        Array.from(bytes, (_, at) => bytes.subarray(at, at + 1)),
      )
      assert.deepEqual(inBytes, whole)
    })
  }

  test('takes every complaint and event of a QEMU that was provoked', () => {
    for (const { from, message } of provoked) {
      if (from !== 'qemu' || message === END || Object.hasOwn(Object(message), 'QMP')) continue
      const session = readySession()
      const { id } = session.send({ execute: 'balloon' })
      const isEvent = Object.hasOwn(Object(message), 'event')
      const actions = session.receive(bytesOf(isEvent ? message : { ...Object(message), id }))
      const isError = Object.hasOwn(Object(message), 'error')
      const expected = isEvent ? 'tellEvent' : isError ? 'reject' : 'resolve'
      assert.deepEqual(
        actions.map(({ type }) => type),
        [expected],
      )
    }
  })

  test('negotiates first, and sends what was asked before that after it', () => {
    const session = new QmpSession()
    const early = session.send({ execute: 'query-status' })
    assert.deepEqual(early.actions, [])
    const negotiation = { type: 'write', text: '{"execute":"qmp_capabilities","id":0}\n' }
    assert.deepEqual(session.receive(greeting), [negotiation])
    const sent = { type: 'write', text: `{"execute":"query-status","id":${early.id}}\n` }
    assert.deepEqual(session.receive(negotiated), [sent])
  })

  test('gives each command its reply, and tells events that come before', () => {
    const session = readySession()
    const [first, second] = [
      session.send({ execute: 'cont' }),
      session.send({ execute: 'no-such' }),
    ]
    const error = { class: 'CommandNotFound', desc: 'The command no-such has not been found' }
    const actions = session.receive(
      Buffer.concat([
        bytesOf({ event: 'RESUME', timestamp: {} }),
        bytesOf({ return: {}, id: first.id }),
        bytesOf({ error, id: second.id }),
      ]),
    )
    const [event, resolved, rejected] = actions
    assert.deepEqual(event, { type: 'tellEvent', event: { name: 'RESUME', data: {} } })
    assert.deepEqual(resolved, { type: 'resolve', id: first.id, value: {} })
    assert.ok(rejected?.type === 'reject' && rejected.id === second.id)
    assert.equal(rejected.error.code, 'guest.qmp_refused')
    assert.equal(rejected.error.values['said'], error.desc)
  })

  test('is lost at a line without end, and holds no more of it', () => {
    const session = readySession()
    const actions = session.receive(Buffer.alloc(LINE_BYTES_MAX + 1, 'x'))
    assert.deepEqual(
      actions.map(({ type }) => type),
      ['lose'],
    )
    assert.deepEqual(session.receive(bytesOf({ event: 'STOP' })), [])
  })

  test('is lost once, whatever bytes come, and never throws', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((text) => Buffer.from(`${text}\n`)),
      fc.constantFrom(greeting, negotiated, bytesOf({ return: {}, id: 7 })),
    )
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 12 }), (pieces) => {
        const session = new QmpSession()
        session.send({ execute: 'query-status' })
        const actions = pieces.flatMap((piece) => session.receive(piece))
        const losses = actions.filter(({ type }) => type === 'lose').length
        assert.equal(losses, session.isLost ? 1 : 0)
      }),
    )
  })
})
