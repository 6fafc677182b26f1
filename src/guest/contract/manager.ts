import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { pollUntil } from '#base'
import { connectAgent } from '../agent/agent.ts'
import { Cgroup } from '../cgroup/cgroup.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { tracesOnHost } from '../traces-on-host.ts'
import { type Bench, STATE_MS } from './bench.ts'
import { outcome } from './outcome.ts'
import { run } from './trial-machine.ts'

const RECONNECTS = 20

/** Who manages a machine may go at any time, and another goes on with it. */
export function testManager(bench: Bench): void {
  test('a host that goes and comes again at once is answered each time', async (t) => {
    const { guest, agent } = await run(t, bench, 'sleep 1000')
    let last = agent
    for (let i = 0; i < RECONNECTS; i += 1) {
      last.close()
      last = await connectAgent(await guest.openChannel(), { deadlineMs: STATE_MS })
      assert.equal(last.entrypoint.phase, 'running')
    }
    last.close()
  })

  test('a machine outlives its manager, and the next adopts it', async (t) => {
    const spec = bench.disks().spec()
    t.after(() => bench.runtime().remove(spec.id))
    const script = 'trap "echo second; exit 5" USR1; echo first; while :; do sleep 0.05; done'
    await killedManager(bench, spec, script)
    using guest = await bench.runtime().adopt(spec.id)
    assert.ok(guest)
    assert.deepEqual(guest.spec, spec)
    const agent = await connectAgent(await guest.openChannel())
    t.after(() => agent.close())
    assert.equal(agent.entrypoint.phase, 'running')
    const isTrapped = once(agent.stdout, 'data')
    const output = outcome(agent)
    await isTrapped
    await agent.signal(10)
    const { stdout, ending } = await output
    assert.equal(stdout, 'first\nsecond\n')
    assert.deepEqual(ending, { kind: 'exited', code: 5 })
  })

  test('what a manager leaves that is killed while a machine starts can be removed', async () => {
    const spec = bench.disks().spec()
    const manager = startManager(bench, spec, 'sleep 1000')
    await pollUntil('the start to begin', () => new Cgroup(spec.id).processes().length > 0, {
      ...{ deadlineMs: STATE_MS, intervalMs: 1 },
    })
    await manager.kill()
    const [listed] = await bench.runtime().list()
    assert.equal(listed?.id, spec.id)
    await bench.runtime().remove(spec.id)
    assert.deepEqual(tracesOnHost([spec.id], bench.disks().stateDir), [])
    assert.deepEqual(await bench.runtime().list(), [])
  })
}

/** Boots the machine in a process that dies of SIGKILL once the entrypoint runs. */
async function killedManager(bench: Bench, spec: GuestSpec, script: string): Promise<void> {
  const { child, kill } = startManager(bench, spec, script)
  try {
    const [bytes] = (await once(child.stdout, 'data')) as [Buffer]
    assert.equal(bytes.toString(), 'running\n')
  } finally {
    await kill()
  }
}

/** A process that boots the machine, starts its entrypoint and says so. */
function startManager(bench: Bench, spec: GuestSpec, script: string) {
  const program = join(import.meta.dirname, 'manager-program.ts')
  const words = [bench.subject.subjectPath, bench.disks().stateDir, JSON.stringify(spec), script]
  const child = spawn(process.execPath, [program, ...words], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await exit
  }
  return { child, kill }
}
