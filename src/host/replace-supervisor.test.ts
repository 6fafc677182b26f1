import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { errorCode, pollUntil } from '#base'
import { identify, isAlive, type ProcessIdentity, signalPid } from '#supervise'
import { changePart, hostStatus, replaceSupervisor } from './host-socket.ts'
import type { Part } from './part.ts'

const soon = { deadlineMs: 60_000 }

const sleeper = (name: string): Part => ({ name, command: 'sleep', args: ['1000'] })

async function running(t: TestContext, names: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-replace-'))
  const define = (parts: readonly string[]) =>
    writeFileSync(join(folder, 'parts.json'), JSON.stringify(parts.map(sleeper)))
  define(names)
  const fixture = join(import.meta.dirname, 'supervisor.fixture.ts')
  const words = ['--disable-warning=ExperimentalWarning', fixture, folder]
  const supervisor = spawn(process.execPath, words, { stdio: 'inherit' })
  t.after(async () => {
    if (supervisor.exitCode === null && supervisor.kill('SIGTERM')) await once(supervisor, 'exit')
    rmSync(folder, { recursive: true })
  })
  const socket = join(folder, 'host.sock')
  const statusOf = async (name: string) =>
    (await hostStatus(socket)).find((part) => part.name === name)
  const isReady = async (name: string) => {
    try {
      return (await statusOf(name))?.state === 'ready'
    } catch (error) {
      if (errorCode(error) === 'host.away') return false
      throw error
    }
  }
  const ready = (name: string) => pollUntil(`${name} to be ready`, () => isReady(name), soon)
  for (const name of names) await ready(name)
  const processOf = async (name: string): Promise<ProcessIdentity> => {
    const identity = identify((await statusOf(name))?.pid ?? 0)
    assert(identity !== undefined, `${name} does not run`)
    return identity
  }
  return { socket, supervisor, define, statusOf, ready, processOf }
}

test('a supervisor is replaced in its place: parts run on, new ones start, those that are gone end', async (t) => {
  const { socket, supervisor, define, statusOf, ready, processOf } = await running(t, [
    ...['flyd', 'dns', 'nats', 'old'],
  ])
  const [flyd, old] = [await processOf('flyd'), await processOf('old')]
  await changePart(socket, 'restart', 'dns')
  await changePart(socket, 'stop', 'nats')
  const dns = await processOf('dns')
  define(['flyd', 'dns', 'nats', 'new'])
  await replaceSupervisor(socket)
  await ready('new')
  await ready('flyd')
  await ready('dns')
  assert.deepEqual([await processOf('flyd'), await processOf('dns')], [flyd, dns])
  assert.equal((await statusOf('dns'))?.restarts, 1)
  assert.equal((await statusOf('nats'))?.state, 'ended', 'it was stopped, and stays so')
  await pollUntil('the end of the part that is gone', () => !isAlive(old), soon)
  await replaceSupervisor(socket)
  await ready('flyd')
  assert.deepEqual(await processOf('flyd'), flyd, 'a second time')
  supervisor.kill('SIGTERM')
  await once(supervisor, 'exit')
  assert.deepEqual([isAlive(flyd), isAlive(dns)], [false, false])
})

test('a part that a replaced supervisor goes on with is started anew when it ends, and leaves nothing', async (t) => {
  const { socket, ready, processOf, statusOf } = await running(t, ['flyd'])
  await replaceSupervisor(socket)
  await ready('flyd')
  const before = await processOf('flyd')
  signalPid(before.pid, 'SIGKILL')
  const isAnother = async () => {
    const { pid, state } = (await statusOf('flyd')) ?? {}
    return state === 'ready' && pid !== before.pid
  }
  await pollUntil('another process', isAnother, soon)
  assert.equal((await statusOf('flyd'))?.restarts, 1)
  const stat = () => readFileSync(`/proc/${before.pid}/stat`, 'utf8')
  assert.throws(stat, { code: 'ENOENT' }, 'no zombie stays')
  await changePart(socket, 'restart', 'flyd')
  await ready('flyd')
})
