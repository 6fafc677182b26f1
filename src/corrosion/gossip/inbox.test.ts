import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseActorId } from '../changes/actor-id.ts'
import type { EmptyChangeset } from '../changes/changeset.ts'
import { Inbox } from './inbox.ts'

const actor = parseActorId('11'.repeat(16))
const version = (at: number): EmptyChangeset => {
  return { kind: 'empty', actor, versions: { start: at, end: at }, ts: null }
}

test('a changeset that is on its way is not taken twice; once it is taken out it may come again', () => {
  const inbox = new Inbox()
  assert.equal(inbox.offer({ changeset: version(1) }), true)
  assert.equal(inbox.offer({ changeset: version(1) }), false)
  assert.equal(inbox.take(10).length, 1)
  assert.equal(inbox.offer({ changeset: version(1) }), true)
})

test('a full inbox drops the oldest, which may be offered again; memory stays bounded', () => {
  const inbox = new Inbox(1_000)
  for (let at = 1; at <= 30_000; at += 1) inbox.offer({ changeset: version(at) })
  assert.equal(inbox.length, 1_000)
  assert.equal(inbox.droppedCount, 29_000)
  assert.ok(inbox.isFull)
  assert.equal(inbox.offer({ changeset: version(1) }), true)
  const [oldest] = inbox.take(1)
  assert.deepEqual(oldest?.changeset, version(29_002))
})

test('changesets come out in the order of their arrival, as many as their cost allows', () => {
  const inbox = new Inbox()
  for (let at = 1; at <= 3_000; at += 1) inbox.offer({ changeset: version(at) })
  const taken: unknown[] = []
  while (inbox.length > 0) {
    const batch = inbox.take(700)
    assert.ok(batch.length <= 700)
    taken.push(...batch.map(({ changeset }) => changeset))
  }
  assert.deepEqual(
    taken,
    Array.from({ length: 3_000 }, (_, at) => version(at + 1)),
  )
})
