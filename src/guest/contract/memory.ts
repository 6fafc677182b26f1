import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Bench } from './bench.ts'
import { run } from './trial-machine.ts'

const CHANGE_MS = 180_000

/** A machine runs with less of its memory, and the host gets back what it does not need. */
export function testMemory(bench: Bench): void {
  test('a machine has less memory while it runs, and more again, and dies of neither', async (t) => {
    const { agent, guest, spec } = await run(t, bench, 'sleep 1000')
    const all = spec.memoryMib
    assert.equal((await guest.memory()).limitMib, all)
    const less = all - 16
    assert.equal(await guest.limitMemory(less, { deadlineMs: CHANGE_MS }), less)
    const { limitMib, availableMib } = await guest.memory()
    assert.equal(limitMib, less)
    const available = availableMib ?? (await agent.stats()).memory.availableBytes / 2 ** 20
    assert.ok(available > 0 && available < less, `${available} of ${less}`)
    assert.equal(await guest.limitMemory(all, { deadlineMs: CHANGE_MS }), all)
    await assert.rejects(guest.limitMemory(all + 1), { code: 'guest.memory_bad' })
    assert.equal(agent.entrypoint.phase, 'running')
  })

  test('the host gets back what a machine does not need, and the machine may use it again', async (t) => {
    const { agent, guest, spec } = await run(
      t,
      bench,
      'dd if=/dev/zero of=/root/file bs=1M count=24 2>/dev/null; echo filled; sleep 1000',
    )
    await once(agent.stdout, 'data')
    const sync = await agent.exec({ argv: ['/bin/sync'] })
    await sync.ended
    const got = await guest.reclaimMemory(16, { deadlineMs: CHANGE_MS })
    assert.ok(got >= 8, `${got} MiB`)
    assert.equal((await guest.memory()).limitMib, spec.memoryMib)
    assert.equal(agent.entrypoint.phase, 'running')
  })

  test('a machine keeps the memory that it needs', async (t) => {
    const fill = 'i=0; x=0123456789abcdef; while [ $i -lt 20 ]; do i=$((i+1)); x=$x$x; done' // 16 MiB
    const hold = `${fill}; echo held; while :; do sleep 1; done`
    const { agent, guest, spec } = await run(t, bench, hold)
    await once(agent.stdout, 'data')
    const limit = guest.limitMemory(4, { deadlineMs: CHANGE_MS })
    if (bench.subject.isVirtual) assert.ok((await limit) > 4)
    else {
      await assert.rejects(limit, { code: 'guest.memory_held' })
      assert.equal((await guest.memory()).limitMib, spec.memoryMib)
    }
    assert.equal(agent.entrypoint.phase, 'running')
  })
}
