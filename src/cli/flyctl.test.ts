import assert from 'node:assert/strict'
import test from 'node:test'
import { Command } from 'commander'
import { COMMANDS } from './commands.ts'
import { insteadOf } from './flyctl-verbs.ts'
import { withoutGoFlags } from './go-flags.ts'

test('a verb of flyctl that is not here says what to use; what is here never does', () => {
  assert.deepEqual(insteadOf(['restart', 'web']), {
    verb: 'restart',
    fix: 'use `godwit apps restart APP`',
  })
  assert.equal(insteadOf(['pg', 'create'])?.verb, 'pg')
  assert.match(insteadOf(['pg', 'create'])?.fix ?? '', /postgres/)
  assert.equal(insteadOf(['apps', 'move'])?.verb, 'apps move')
  for (const { names } of COMMANDS) {
    for (const name of names) assert.equal(insteadOf([name]), undefined, name)
  }
  assert.equal(insteadOf(['nonsense']), undefined)
  assert.equal(insteadOf([]), undefined)
})

test('flags of true and false are what commander has for them', () => {
  const program = new Command().addCommand(
    new Command('deploy')
      .option('--no-ha')
      .option('--skip')
      .option('--autostart')
      .option('--no-autostart')
      .option('--command <line>'),
  )
  const read = (...words: string[]) => withoutGoFlags(['deploy', ...words], program).slice(1)
  assert.deepEqual(read('--ha=false', '--skip=true'), ['--no-ha', '--skip'])
  assert.deepEqual(read('--ha=true', '--skip=false'), [])
  assert.deepEqual(read('--autostart=false'), ['--no-autostart'])
  assert.deepEqual(read('--command=true', '--nope=false'), ['--command=true', '--nope=false'])
  assert.deepEqual(read('--', '--ha=false'), ['--', '--ha=false'])
  assert.deepEqual(read('-e', 'A=true'), ['-e', 'A=true'])
})
