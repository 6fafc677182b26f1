import { dashed, parseActorId } from '../changes/actor-id.ts'
import type { AdminFrame } from './admin-protocol.ts'
import type { AgentView } from './agent-view.ts'
import { SyncError } from './errors.ts'

type Handler = (agent: AgentView, argument: unknown) => Iterable<AdminFrame>

/** Commands by name; those of two words as `Cluster.Members`. */
const handlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['Ping', () => []],
  ['Reload', reload],
  ['Sync.Generate', (agent) => [json(syncState(agent))]],
  ['Sync.CheckBookieConsistency', checkConsistency],
  ['Cluster.Members', members],
  ['Cluster.MembershipStates', membershipStates],
  ['Cluster.Rejoin', rejoin],
  ['Cluster.SetId', setClusterId],
  ['Actor.Version', actorVersion],
  ['Subs.List', subscriptions],
])

/**
 * Runs a command as Corrosion's admin socket has them: `"Ping"`, `{"Cluster":"Members"}`,
 * `{"Cluster":{"SetId":1}}`. @throws SyncError sync.command_bad, and what the command throws
 */
export function* runAdminCommand(agent: AgentView, command: unknown): Generator<AdminFrame> {
  const [name, argument] = readCommand(command)
  const handler = handlers.get(name)
  if (handler === undefined) {
    const known = [...handlers.keys()].join(', ')
    throw bad(`unknown command \`${name}\`, expected one of ${known}`)
  }
  yield* handler(agent, argument)
}

/** `"A"` is A; `{"A":"B"}` and `{"A":{"B":x}}` are A.B. */
function readCommand(command: unknown): [string, unknown] {
  if (typeof command === 'string') return [command, undefined]
  const [group, rest] = onlyEntry(command)
  if (typeof rest === 'string') return [`${group}.${rest}`, undefined]
  const [name, argument] = onlyEntry(rest)
  return [`${group}.${name}`, argument]
}

function onlyEntry(value: unknown): [string, unknown] {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  const [entry] = entries
  if (entry === undefined || entries.length !== 1) throw bad('a command has one name')
  return entry
}

function* reload(agent: AgentView): Generator<AdminFrame> {
  yield log('reloading schema from configured paths...')
  const steps = agent.reloadSchema()
  yield log(`schema reload finished: ${steps.length} changes`)
}

function syncState(agent: AgentView): unknown {
  const { actor, heads, need, partialNeed } = agent.store.syncState()
  const byActor = <T>(map: ReadonlyMap<Parameters<typeof dashed>[0], T>) =>
    Object.fromEntries([...map].map(([id, value]) => [dashed(id), value]))
  const parts = new Map(
    [...partialNeed].map(([id, versions]) => [id, Object.fromEntries(versions)]),
  )
  return {
    actor_id: dashed(actor),
    heads: byActor(heads),
    need: byActor(need),
    partial_need: byActor(parts),
    last_cleared_ts: null,
  }
}

/** The bookkeeping in memory against its tables. */
function* checkConsistency(agent: AgentView): Generator<AdminFrame> {
  const differences = agent.store.bookkeepingDifferences().map(dashed)
  const report = {
    ok: differences.length === 0,
    in_memory_actors: agent.store.bookkeeping.size,
    value_mismatch_actors: differences,
  }
  yield json(report)
  if (differences.length > 0) throw bad('bookie mismatch: memory and database disagree')
}

function* members(agent: AgentView): Generator<AdminFrame> {
  const { node } = agent
  for (const { id, address, renewedAt } of node.members.values()) {
    const rtt = node.transport.rttMs(address)
    const ring = node.ringOf(id) ?? null
    yield json({
      id: dashed(parseActorId(id)),
      rtts: rtt === undefined ? [] : [rtt],
      state: { addr: address, cluster_id: node.clusterId, ring, ts: renewedAt },
    })
  }
}

function* membershipStates(agent: AgentView): Generator<AdminFrame> {
  for (const { identity, incarnation, health } of agent.node.membership.swim.snapshot()) {
    const { id, address, renewedAt } = identity
    const state = `${health[0]?.toUpperCase()}${health.slice(1)}`
    const shown = { addr: address, cluster_id: agent.node.clusterId, id, ts: renewedAt }
    yield json({ id: { ...shown, id: dashed(parseActorId(id)) }, incarnation, state })
  }
}

function* rejoin(agent: AgentView): Generator<AdminFrame> {
  agent.node.membership.rejoin()
  yield log('asking for members again')
}

function* setClusterId(agent: AgentView, id: unknown): Generator<AdminFrame> {
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > 65_535) {
    throw bad('a cluster id is a whole number from 0 to 65535')
  }
  agent.store.database
    .prepare(`INSERT OR REPLACE INTO __corro_state VALUES ('cluster_id', ?)`)
    .run(id)
  yield log(`cluster id ${id} is set; it counts from the agent's next start`)
}

function* actorVersion(agent: AgentView, argument: unknown): Generator<AdminFrame> {
  const { actor_id: id, version } = (argument ?? {}) as { actor_id?: string; version?: number }
  const actor = parseActorId(String(id))
  const known = agent.store.bookkeeping.get(actor)
  if (known === undefined) throw bad(`unknown actor id: ${actor}`)
  const wanted = Number(version)
  const partial = known.partials.get(wanted)
  if (partial !== undefined) {
    const { seqs, lastSeq } = partial
    yield json({ partial: { db_version: wanted, seqs: seqs.toArray(), last_seq: lastSeq } })
  } else if (wanted < 1 || wanted > known.head || known.needed.has(wanted)) yield json(null)
  else
    yield json({ current: { db_version: wanted, last_seq: agent.store.lastSeqOf(actor, wanted) } })
}

function* subscriptions(agent: AgentView): Generator<AdminFrame> {
  const queries = [...agent.subscriptions.queries()]
  yield json(
    queries.map(({ id, hash, sql, rowCount, subscriberCount, costMs }) => {
      return { id, hash, sql, rows: rowCount, subscribers: subscriberCount, last_ms: costMs }
    }),
  )
}

const json = (value: unknown): AdminFrame => ({ Json: value })

function log(msg: string): AdminFrame {
  return { Log: { level: 'info', msg, ts: new Date().toISOString() } }
}

function bad(what: string): SyncError {
  return new SyncError('sync.command_bad', { what })
}
