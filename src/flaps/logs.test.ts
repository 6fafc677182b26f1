import assert from 'node:assert/strict'
import test from 'node:test'
import type { LogPage } from '#observe'
import { keptLogs } from './logs.ts'

const MADE_MS = Date.parse('2026-05-01T12:00:00Z')

function lineAt(timestamp: string): LogPage['entries'][number] {
  return {
    place: `s${timestamp}`,
    entry: {
      event: { provider: 'app' },
      fly: { app: { instance: 'm1', name: 'heron' }, region: 'ams' },
      host: 'h1',
      log: { level: 'info' },
      message: timestamp,
      timestamp,
    },
  }
}

test('an app does not read what an older one of its name wrote, and pages go on behind it', async () => {
  const [older, own] = ['2026-05-01T11:59:59.999999999Z', '2026-05-01T12:00:00.000000001Z']
  const page = { entries: [older, own].map(lineAt), next: 's9' }
  const logs = keptLogs({ read: async () => page })
  const { signal } = new AbortController()
  const query = { from: undefined, machine: undefined, region: undefined, holdMs: 0, signal }
  const { lines, next } = await logs.read('heron', { ...query, sinceMs: MADE_MS })
  assert.deepEqual(
    lines.map(({ message }) => message),
    [own],
  )
  assert.equal(next, 's9')
})
