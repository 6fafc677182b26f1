/** A process with one agent that the benchmark drives over IPC; see agent-handle.ts. */
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { pollUntil, seededRandom, systemClock } from '#base'
import { Agent, type QueryChange } from '#corrosion'
import type { AgentCalls, AgentConfig, Load } from './agent-handle.ts'
import { cells, STATEMENTS } from './table.ts'

const QUERY = `SELECT id, sent_us, owner FROM item WHERE state <> 'gone'`
/** A row is written again after so many others, long after its first write is everywhere. */
const UPDATED_AFTER = 200
const CATCH_UP_DEADLINE_MS = 600_000

let agent: Agent | undefined
let folder: string | undefined
/** Microseconds from before a transaction to the event of a subscription here. */
let delaysUs: { own: number[]; others: number[] } = { own: [], others: [] }

const opened = () => agent as Agent
const nowUs = () => Number(process.hrtime.bigint() / 1_000n)

const calls: AgentCalls = {
  async open(config: AgentConfig) {
    folder = dirname(config.db.path)
    agent = await Agent.start(config, die)
    return { address: agent.node.transport.address, actor: agent.actor }
  },
  async memberCount() {
    return opened().node.members.size
  },
  async subscribe(owner: string) {
    opened()
      .subscriptions.open(QUERY)
      .join({ changed: (changes) => noteEvents(changes, owner) })
  },
  async takeDelays() {
    const taken = delaysUs
    delaysUs = { own: [], others: [] }
    return taken
  },
  async cpuUs() {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  write: (load: Load) => writeLoad(load),
  async fill({ versions, rowsPerVersion }) {
    const { store } = opened()
    const insert = store.statement(STATEMENTS.insert)
    for (let version = 0; version < versions; version += 1) {
      opened().transaction(() => {
        for (let at = 0; at < rowsPerVersion; at += 1) {
          insert.run(...cells('insert', version * rowsPerVersion + at))
        }
      })
      if (version % 100 === 0) await systemClock.sleep(0) // others have their turn
    }
    return store.head
  },
  async catchUp({ actor, head }) {
    const { store } = opened()
    const startMs = performance.now()
    const options = { deadlineMs: CATCH_UP_DEADLINE_MS, intervalMs: 10 }
    await pollUntil('the first change', () => store.bookkeeping.has(actor), options)
    const firstMs = performance.now() - startMs
    await pollUntil('all changes', () => isComplete(), options)
    const allMs = performance.now() - startMs
    const { rows } = store.database.prepare('SELECT count(*) AS rows FROM item').get() ?? {}
    return { firstMs, allMs, rows: rows as number }

    function isComplete(): boolean {
      const known = store.bookkeeping.get(actor)
      if (known === undefined || known.head < head) return false
      return known.needed.isEmpty && known.partials.size === 0
    }
  },
}

function noteEvents(changes: readonly QueryChange[], self: string): void {
  const atUs = nowUs()
  for (const { cells: row } of changes) {
    const [, sentUs, owner] = row as [bigint, bigint, string]
    delaysUs[owner === self ? 'own' : 'others'].push(atUs - Number(sentUs))
  }
}

/** Transactions of one row, at random moments: half of them new rows, half updates. */
async function writeLoad({ owner, perSecond, forMs, seed, firstId }: Load): Promise<number> {
  const random = seededRandom(seed)
  const { store } = opened()
  const insert = store.statement(STATEMENTS.insert)
  const update = store.statement(`UPDATE item SET state = ?, sent_us = ? WHERE id = ?`)
  const startMs = performance.now()
  let written = 0
  for (let dueMs = startMs; ; ) {
    dueMs -= (Math.log(1 - random.next()) * 1_000) / perSecond
    if (dueMs > startMs + forMs) return written
    const waitMs = dueMs - performance.now()
    if (waitMs > 0) await systemClock.sleep(waitMs)
    const isUpdate = written % 2 === 1 && written > UPDATED_AFTER
    const id = firstId + written - (isUpdate ? UPDATED_AFTER + 1 : 0)
    opened().transaction(() => {
      if (isUpdate) update.run(`state ${written}`, nowUs(), id)
      else insert.run(id, owner, `machine ${id}`, 'started', nowUs(), id / 3)
    })
    written += 1
  }
}

function die(error: unknown): never {
  console.error(error)
  process.exit(1)
}

process.on('message', async (message) => {
  const { id, call, argument } = message as { id: number; call: keyof AgentCalls; argument: never }
  try {
    process.send?.({ id, result: await calls[call](argument) })
  } catch (error) {
    process.send?.({ id, error: (error as Error).stack })
  }
})
process.once('disconnect', () => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  process.exit() // never outlives the benchmark
})
