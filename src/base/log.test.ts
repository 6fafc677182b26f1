import assert from 'node:assert/strict'
import test from 'node:test'
import { BaseError } from './base-error.ts'
import { createLog, type LogOptions } from './log.ts'

function capture(options: Partial<LogOptions> = {}) {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  const log = createLog({ part: 'flyd', level: 'info', format: 'json', destination, ...options })
  return { log, lines, first: () => JSON.parse(lines[0] ?? 'null') }
}

test('a line of a daemon is JSON with level, time, part and what is bound', () => {
  const { log, first } = capture({ bindings: { host: 'ams-1' } })
  log.info({ machine: 'm' }, 'started')
  const { time, ...rest } = first()
  assert.deepEqual(rest, {
    level: 'info',
    part: 'flyd',
    host: 'ams-1',
    machine: 'm',
    msg: 'started',
  })
  assert.match(time, /^\d{4}-\d\d-\d\dT.*Z$/)
})

test('our errors are logged as data, with their causes', () => {
  const { log, first } = capture()
  const cause = new BaseError('base.id_bad', { what: 'not an id', values: { id: 'x' } })
  log.error({ err: new BaseError('base.config_bad', { what: 'wrong', fix: 'mend', cause }) })
  const { code, fix, cause: inner } = first().err
  assert.deepEqual(
    [code, fix, inner.code, inner.values],
    ['base.config_bad', 'mend', 'base.id_bad', { id: 'x' }],
  )
})

test('no secret reaches the log', () => {
  const { log, lines } = capture()
  log.info({ token: 'hunter2', request: { authorization: 'hunter2' } }, 'asked')
  assert.equal(lines.length, 1)
  assert.doesNotMatch(lines[0] ?? '', /hunter2/)
})

test('a level below the limit is not written, and a wrong level is an error', () => {
  const { log, lines } = capture({ level: 'warn' })
  log.info('nothing')
  assert.equal(lines.length, 0)
  process.env['GODWIT_LOG'] = 'loud'
  try {
    assert.throws(() => createLog({ part: 'x' }), { code: 'base.value_bad', message: /loud/ })
  } finally {
    delete process.env['GODWIT_LOG']
  }
})

test('text for people has part and message, and no colour where none is wanted', () => {
  const { log, lines } = capture({ format: 'text' })
  log.warn({ disk: '93%' }, 'nearly full')
  const text = lines.join('')
  assert.match(text, /WARN.*flyd: nearly full/)
  assert.match(text, /disk.*93%/)
  assert(!text.includes('\u001b['))
})
