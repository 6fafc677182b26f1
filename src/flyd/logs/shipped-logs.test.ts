import assert from 'node:assert/strict'
import test from 'node:test'
import type { LogLevel, LogProvider } from '#observe'
import type { MachineSeen } from '../model/machine-seen.ts'
import type { Change, MachineView } from '../model/machine-view.ts'
import type { LogStream } from './machine-logs.ts'
import { ShippedLogs } from './shipped-logs.ts'

const ID = '3d8d413b29d089'
const seen = (state: MachineSeen['state'], events: readonly unknown[] = []) =>
  ({ id: ID, appName: 'web', region: 'ams', state, events }) as unknown as MachineSeen

const exit = (request: object) => ({ type: 'exit', request: { exit_event: request } })

function world() {
  const sent: string[] = []
  const kept: string[] = []
  const listeners = new Set<(change: Change) => void>()
  const say = (message: string, level: LogLevel = 'info', provider: LogProvider = 'runner') =>
    void sent.push(`${provider}/${level}: ${message}`)
  const logs = new ShippedLogs({
    kept: {
      write: async (_id: string, stream: LogStream, texts: readonly string[]) =>
        void kept.push(...texts.map((text) => `${stream}: ${text}`)),
      remove: async () => void kept.push('removed'),
    },
    shipper: {
      writerFor: () => ({ say, write: () => undefined, [Symbol.dispose]: () => undefined }),
    },
    hostId: 'ams-1',
    machines: Promise.resolve({ machine: (id) => (id === ID ? seen('started') : undefined) }),
  })
  const view = {
    machines: () => [seen('created')],
    onChange: (listener: (change: Change) => void) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  } as unknown as MachineView
  const become = (machine: MachineSeen) => {
    for (const listener of listeners) listener({ kind: 'machine', id: machine.id, machine })
  }
  return { logs, sent, kept, view, become }
}

test('what a machine says is kept here and sent on; a line that is too long in pieces', async () => {
  const { logs, sent, kept } = world()
  await logs.write(ID, 'stdout', ['hello', ''])
  await logs.write(ID, 'stderr', ['x'.repeat(8_193)])
  await logs.write(ID, 'platform', ['a check fails'])
  assert.deepEqual(sent.slice(0, 2), ['app/info: hello', 'app/info: '])
  assert.deepEqual(
    sent.slice(2, 4).map(({ length }) => length),
    ['app/info: '.length + 8_192, 'app/info: '.length + 1],
  )
  assert.equal(sent[4], 'runner/info: a check fails')
  assert.deepEqual(kept.slice(0, 2), ['stdout: hello', 'stdout: '])
})

test('what a machine that nobody knows says is kept, and sent to no app', async () => {
  const { logs, sent, kept } = world()
  await logs.write('148ed599c14189', 'stdout', ['who am I'])
  assert.deepEqual([sent, kept], [[], ['stdout: who am I']])
})

test('what becomes of a machine is told once for each state', () => {
  const { logs, sent, view, become } = world()
  using _following = logs.follow(view)
  for (const state of ['created', 'starting', 'started', 'started'] as const) become(seen(state))
  become(seen('stopped', [exit({ exit_code: 3 }), { type: 'start' }]))
  become(seen('started', [{ type: 'start' }]))
  become(seen('stopped', [exit({ exit_code: 137, oom_killed: true })]))
  become(seen('starting'))
  become(seen('stopped', [exit({ exit_code: 143, requested_stop: true })]))
  become(seen('failed', [{ type: 'start', request: { error: 'no such image' } }]))
  assert.deepEqual(sent, [
    'runner/info: the machine is being started',
    'runner/info: the machine runs',
    'runner/error: the machine ended with exit code 3',
    'runner/info: the machine runs',
    'runner/error: the machine ran out of memory',
    'runner/info: the machine is being started',
    'runner/info: the machine ended with exit code 143',
    'runner/error: the machine could not be started: no such image',
  ])
})
