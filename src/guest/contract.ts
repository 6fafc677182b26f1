/**
 * What every runtime promises. A runtime's own test calls `testRuntime`; each promise is shown with the
 * real init, through the agent, on machines of its own.
 */
import { after, before, describe } from 'node:test'
import type { Bench } from './contract/bench.ts'
import { testEnd } from './contract/end.ts'
import { testInside } from './contract/inside.ts'
import { testManager } from './contract/manager.ts'
import { testMemory } from './contract/memory.ts'
import type { RuntimeSubject } from './contract/runtime-subject.ts'
import { testStart } from './contract/start.ts'
import { testSuspension } from './contract/suspension.ts'
import { testTraces } from './contract/traces.ts'
import { TrialDisks } from './contract/trial-disks.ts'
import type { Runtime } from './runtime.ts'

export function testRuntime(subject: RuntimeSubject): void {
  describe(`the runtime ${subject.name}`, () => {
    let disks: TrialDisks
    let runtime: Runtime
    before(async () => {
      disks = new TrialDisks()
      const { openRuntime } = await import(subject.subjectPath)
      runtime = await openRuntime(disks.stateDir)
    })
    after(async () => {
      for (const { id } of await runtime.list()) await runtime.remove(id)
      disks.remove()
    })
    const bench: Bench = { subject, disks: () => disks, runtime: () => runtime }
    testStart(bench)
    testEnd(bench)
    testInside(bench)
    testMemory(bench)
    testSuspension(bench)
    testManager(bench)
    testTraces(bench)
  })
}
