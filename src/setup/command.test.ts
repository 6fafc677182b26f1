import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import test from 'node:test'
import { errorCode } from '#base'
import { firstError, lastLine, mustRun, runCommand } from './command.ts'

const signal = new AbortController().signal
const options = { signal, deadlineMs: 10_000 }
const isAlive = (pid: number) => existsSync(`/proc/${pid}`)

test('a command gives its exit code and both outputs', async () => {
  const result = await runCommand('sh', ['-c', 'cat; echo bad >&2; exit 3'], {
    ...options,
    input: 'given',
  })
  assert.deepEqual(result, { exitCode: 3, stdout: 'given', stderr: 'bad\n' })
})

test('a command that does not exist is named', async () => {
  const call = runCommand('no-such-command-here', [], options)
  await assert.rejects(call, {
    code: 'setup.command_missing',
    values: { command: 'no-such-command-here' },
  })
})

test('after the deadline the command and its children are gone', async () => {
  let child = 0
  const call = runCommand('sh', ['-c', 'sleep 60 & echo $!; wait'], {
    signal,
    deadlineMs: 300,
    isEnough(stdout) {
      child = Number(stdout)
      return false
    },
  })
  await assert.rejects(call, (error) => errorCode(error) === 'setup.command_late')
  assert(child > 0)
  await untilGone(child)
})

test('an abort ends the command with its reason', async () => {
  const controller = new AbortController()
  const call = runCommand('sh', ['-c', 'echo started; sleep 60'], {
    signal: controller.signal,
    deadlineMs: 10_000,
    isEnough() {
      controller.abort(new Error('enough of it'))
      return false
    },
  })
  await assert.rejects(call, /enough of it/)
})

test('output that is enough ends the command, without an error', async () => {
  const { stdout } = await runCommand('sh', ['-c', 'echo up; sleep 60'], {
    ...options,
    isEnough: (seen) => seen.includes('up'),
  })
  assert.equal(stdout, 'up\n')
})

test('a background child does not keep the command open', async () => {
  const { stdout } = await runCommand('sh', ['-c', 'sleep 60 & echo $!'], options)
  await untilGone(Number(stdout))
})

test('a failure that is an error says what the command said last', async () => {
  const call = mustRun('sh', ['-c', 'echo first >&2; echo last >&2; exit 4'], options)
  await assert.rejects(call, { code: 'setup.command_failed', message: /exitCode=4, said=last/ })
})

test('the line that names the error is found before the one that points at it', () => {
  assert.equal(firstError('x.c:3: error: bad thing\n    ^\n'), 'x.c:3: error: bad thing')
  assert.equal(firstError('just failed\n'), 'just failed')
  assert.equal(lastLine('\n \n'), undefined)
})

async function untilGone(pid: number): Promise<void> {
  const deadline = AbortSignal.timeout(5_000)
  while (isAlive(pid)) {
    assert(!deadline.aborted, `process ${pid} is still there`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
