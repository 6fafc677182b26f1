import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { type MachineId, newMachineId, pollUntil, systemRandom } from '#base'
import { connectAgent } from '../agent/agent.ts'
import { withDevices } from '../guest-devices.ts'
import { tracesOnHost } from '../traces-on-host.ts'
import { type Bench, STATE_MS } from './bench.ts'
import { outcome } from './outcome.ts'
import { scriptConfig } from './script-config.ts'

/** What is removed leaves nothing behind on the host. */
export function testTraces(bench: Bench): void {
  test('machines come and go without a trace', async () => {
    const ids: MachineId[] = []
    const round = async () => {
      const spec = bench.disks().spec({ id: newMachineId(systemRandom) })
      ids.push(spec.id)
      const guest = await bench.runtime().boot(spec)
      const agent = await connectAgent(await guest.openChannel())
      await agent.configure(withDevices(guest, scriptConfig(spec, 'echo hi')))
      await agent.start()
      assert.equal((await outcome(agent)).stdout, 'hi\n')
      agent.close()
      await bench.runtime().remove(spec.id)
      assert.equal((await guest.ended).cause, 'killed')
    }
    await round()
    const { stateDir } = bench.disks()
    const descriptors = countDescriptors()
    const rounds = Number(process.env['GODWIT_LEAK_ROUNDS'] ?? bench.subject.leakRounds)
    for (let i = 0; i < rounds; i += 1) await round()
    await pollUntil('no trace', () => tracesOnHost(ids, stateDir).length === 0, {
      deadlineMs: STATE_MS,
    }).catch(() => assert.deepEqual(tracesOnHost(ids, stateDir), []))
    // Streams close their descriptors a turn or more after the last event about them.
    await pollUntil('no descriptor', () => countDescriptors() <= descriptors, {
      deadlineMs: STATE_MS,
    })
    assert.ok(!existsSync(stateDir) || readdirSync(stateDir).length === 0)
  })
}

const countDescriptors = () => readdirSync('/proc/self/fd').length
