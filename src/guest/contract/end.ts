import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { EntrypointState } from '../agent/answers.ts'
import { type Bench, STATE_MS } from './bench.ts'
import { isOver, outcome } from './outcome.ts'
import { scriptConfig } from './script-config.ts'
import { run } from './trial-machine.ts'

/** How an entrypoint and a machine end, and that it is told. */
export function testEnd(bench: Bench): void {
  test('exit codes and signals of the entrypoint are told', async (t) => {
    const { agent, spec } = await run(t, bench, 'exit 0')
    assert.deepEqual((await outcome(agent)).ending, { kind: 'exited', code: 0 })
    await agent.configure(scriptConfig(spec, 'exit 41'))
    await agent.start()
    await agent.waitForEntrypoint(
      ({ runCount, ...state }) =>
        runCount === 2 && isOver({ runCount, ...state } as EntrypointState),
    )
    assert.deepEqual((await outcome(agent)).ending, { kind: 'exited', code: 41 })
    await agent.configure(scriptConfig(spec, 'kill -9 $$'))
    await agent.start()
    await agent.waitForEntrypoint(
      ({ runCount, ...state }) =>
        runCount === 3 && isOver({ runCount, ...state } as EntrypointState),
    )
    assert.deepEqual((await outcome(agent)).ending, { kind: 'signaled', signal: 9 })
  })

  test('a program that wants more memory than the machine has dies of it, and that is told', async (t) => {
    const hog = 'x=0123456789abcdef; while :; do x=$x$x; done'
    const { agent, guest } = await run(
      t,
      bench,
      `sh -c '${hog}'; echo "hog $?"; exec sh -c '${hog}'`,
    )
    const { state } = await outcome(agent)
    assert.ok(state.phase === 'exited')
    const told = bench.subject.isVirtual
      ? state.isOutOfMemory
      : (await guest.usage()).outOfMemoryKills > 0
    assert.ok(told || (state.ending.kind === 'exited' && state.ending.code !== 0))
    assert.ok(told)
  })

  test('a stop sends the signal, and kills what does not heed it in time', async (t) => {
    const { agent, spec } = await run(
      t,
      bench,
      'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.1; done',
    )
    await once(agent.stdout, 'data')
    const output = outcome(agent)
    await agent.stop({ stopSignal: 15, timeoutMs: 20_000 })
    const { ending, stdout } = await output
    assert.match(stdout, /bye/)
    assert.deepEqual(ending, { kind: 'exited', code: 3 })
    await agent.configure(
      scriptConfig(spec, 'trap "" TERM; echo deaf; while :; do sleep 0.1; done'),
    )
    const isDeaf = once(agent.stdout, 'data') // before the start: the stream flows already
    await agent.start()
    await isDeaf
    await agent.stop({ stopSignal: 15, timeoutMs: 100 })
    const state = await agent.waitForEntrypoint((one) => one.runCount === 2 && isOver(one), {
      deadlineMs: STATE_MS,
    })
    assert.ok(state.phase === 'exited')
    assert.deepEqual(state.ending, { kind: 'signaled', signal: 9 })
  })

  test('a machine ends by shutdown, by kill, and each is told', async (t) => {
    const { agent, guest } = await run(t, bench, 'sleep 1000')
    await agent.shutdown({ stopSignal: 15, timeoutMs: 1_000 })
    assert.deepEqual(await guest.ended, { cause: 'shutdown', isOutOfMemory: false })
    const second = await run(t, bench, 'sleep 1000')
    await second.guest.kill()
    assert.deepEqual(await second.guest.ended, { cause: 'killed', isOutOfMemory: false })
    await assert.rejects(second.agent.stats(), { code: 'guest.channel_lost' })
  })
}
