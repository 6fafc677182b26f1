import { isAlive } from '#supervise'
import { finishMachine, removeMachine, takeOver } from './finish-machine.ts'
import { startKeeper } from './keeper/start-keeper.ts'
import type { LocalHost } from './local-host.ts'
import type { LocalRecord } from './machine-record.ts'

type Remedy = 'remove' | 'finish' | 'keep'

/**
 * Goes on for every process that died at a machine: one that was being made or removed is removed, one that
 * was bound to a terminal ends, and one that runs by itself gets a new keeper.
 */
export async function reconcile(host: LocalHost): Promise<void> {
  const orphans = await host.change(() => {
    host.records.sweep()
    return host.records.list().flatMap((record) => {
      const remedy = remedyFor(record)
      if (remedy === undefined) return []
      const phase = remedy === 'remove' ? 'removing' : record.phase
      const mine = takeOver(host, record.id, { phase })
      return mine === undefined ? [] : [{ remedy, record: mine }]
    })
  })
  for (const { remedy, record } of orphans) await apply(host, remedy, record)
}

function remedyFor({ phase, actor, isBound, plan }: LocalRecord): Remedy | undefined {
  if (phase === 'ended' || (actor !== undefined && isAlive(actor))) return undefined
  if (phase === 'preparing' || phase === 'removing') return 'remove'
  return phase === 'running' && !isBound && plan !== undefined ? 'keep' : 'finish'
}

async function apply(host: LocalHost, remedy: Remedy, record: LocalRecord): Promise<void> {
  if (remedy === 'remove') {
    await removeMachine(host, record)
    return
  }
  const guest = await (await host.runtime(record)).adopt(record.id)
  guest?.[Symbol.dispose]()
  if (remedy === 'keep' && guest !== undefined) {
    await startKeeper(host, record)
    return
  }
  const error = 'the process that kept the machine was killed'
  await finishMachine(host, record, {
    ...{ code: 255, isOutOfMemory: false, atMs: Date.now(), error },
  })
}
