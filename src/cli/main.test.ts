import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { SetupError } from '#setup'
import { commandReference } from './command-reference.ts'
import { COMMANDS } from './commands.ts'
import { errorReference } from './error-reference.ts'
import { describeError } from './fault.ts'

const root = join(import.meta.dirname, '..', '..')
const manual = (name: string) => readFileSync(join(root, 'docs', `${name}.md`), 'utf8')
const godwit = (...args: string[]) =>
  spawnSync(join(root, 'bin', 'godwit'), args, { encoding: 'utf8' })

test('the version is the one of package.json', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.equal(godwit('--version').stdout, `${version}\n`)
})

test('help goes to standard output with examples and exit codes, and ends with 0', () => {
  const { status, stdout, stderr } = godwit('--help')
  assert.deepEqual([status, stderr], [0, ''])
  for (const part of ['Examples:', 'Exit codes:', 'doctor', 'planet']) assert(stdout.includes(part))
})

test('a wrong command line ends with 2 and says where help is, in subcommands too', () => {
  for (const args of [['no-such'], ['--no-such'], ['doctor', '--no-such'], ['planet', 'no-such']]) {
    const { status, stdout, stderr } = godwit(...args)
    assert.deepEqual([status, stdout], [2, ''], args.join(' '))
    assert.match(stderr, /^error: .*\n(.*\n)?fix: /)
  }
})

test('the list of commands says of each what the command says itself', async () => {
  for (const { names, about, load } of COMMANDS) {
    const command = await load('1.2.3')
    assert.deepEqual([command.name(), ...command.aliases()], names)
    assert.equal(command.summary() || command.description(), about, names[0])
  }
})

test('docs/commands.md is what the commands say (npm run docs writes it)', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.equal(manual('commands'), await commandReference(version))
})

test('docs/errors.md has every code, as it is thrown (npm run docs writes it)', () => {
  const written = errorReference(root)
  assert.equal(manual('errors'), written)
  const entry =
    /- `planet\.link_immediate` \(\d+\) this link has no delay to change\. .*\*\*Fix:\*\* give it/
  assert.match(written, entry)
  for (const code of Object.keys(SetupError.catalogue)) assert(written.includes(`\`${code}\` (`))
})

const error = new SetupError('setup.root_needed', {
  what: 'root is needed',
  values: { userId: 1000, list: ['a'], nothing: undefined },
  fix: 'sudo it',
})

test('our error is shown as what, values and fix, with its exit code', () => {
  assert.deepEqual(describeError(error, { json: false, debug: false }), {
    stdout: '',
    stderr: 'error: root is needed (userId=1000, list=["a"])\nfix: sudo it\n',
    exitCode: 77,
  })
})

test('with --json an error is one line of JSON on standard output', () => {
  const { stdout, stderr } = describeError(error, { json: true, debug: false })
  assert.equal(stderr, '')
  assert.equal(JSON.parse(stdout).code, 'setup.root_needed')
  const unknown = describeError(new TypeError('x is undefined'), { json: true, debug: false })
  assert.equal(JSON.parse(unknown.stdout).code, 'internal')
})

test('an error that nobody threw on purpose shows its stack only to who debugs', () => {
  const bug = new TypeError('x is undefined')
  const shown = (debug: boolean) => describeError(bug, { json: false, debug }).stderr
  assert.doesNotMatch(shown(false), /main\.test\.ts/)
  assert.match(shown(false), /error: x is undefined\nfix: this is a bug/)
  assert.match(shown(true), /main\.test\.ts/)
})
