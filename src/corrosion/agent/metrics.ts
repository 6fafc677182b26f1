import { createServer, type Server } from 'node:http'
import { type CollectFunction, Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { AgentView } from './agent-view.ts'

/** Prometheus metrics of an agent; all are read when somebody asks. */
export function agentMetrics(agent: AgentView): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const gauge = (name: string, help: string, read: () => number | undefined) =>
    new Gauge({
      name: `corro_${name}`,
      help,
      registers: [registry],
      collect() {
        const value = read()
        if (value !== undefined) this.set(value)
      },
    })
  const { node, store } = agent
  gauge('gossip_members', 'members that are up, without this node', () => node.members.size)
  gauge('db_version', 'newest version of this node', () => store.head)
  gauge('db_gaps_sum', 'versions known of and missing', () => agent.health().gaps)
  gauge('agent_changes_in_queue', 'changesets that wait to be applied', () => node.inboxLength)
  gauge(
    'broadcast_pending_count',
    'changes that wait to be sent again',
    () => node.broadcastQueueLength,
  )
  gauge(
    'agent_changes_commit_lag_p99_seconds',
    'from a commit elsewhere to here',
    () => agent.health().p99Lag,
  )
  gauge('subs_queries', 'live queries', () => [...agent.subscriptions.queries()].length)
  gauge('apply_seconds_total', 'time spent applying changes of others', () => node.applySeconds)
  stateGauges(agent, registry)
  counters(agent, registry)
  return registry
}

function stateGauges({ node, store }: AgentView, registry: Registry): void {
  const labelled = (
    name: string,
    help: string,
    label: string,
    fill: (set: (value: string, n: number) => void) => void,
  ) =>
    new Gauge({
      name: `corro_${name}`,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset()
        fill((value, n) => this.set({ [label]: value }, n))
      },
    })
  labelled('gossip_member_states', 'members by state', 'state', (set) => {
    const counts = { alive: 0, suspect: 0, down: 0 }
    for (const { health } of node.membership.swim.snapshot()) counts[health] += 1
    for (const [state, count] of Object.entries(counts)) set(state, count)
  })
  labelled('actor_head', 'newest version known of each actor', 'actor', (set) => {
    for (const [actor, { head }] of store.bookkeeping) set(actor, head)
  })
  labelled(
    'actor_lag_seconds',
    'commit to here, of the last change of each actor',
    'actor',
    (set) => {
      for (const [actor, seconds] of node.lagByActor) set(actor, seconds)
    },
  )
  labelled('actor_gaps', 'missing versions of each actor', 'actor', (set) => {
    for (const [actor, { needed, partials }] of store.bookkeeping) {
      set(actor, needed.size + partials.size)
    }
  })
}

/** What has been counted since the start, under Prometheus' names. */
function counters({ node }: AgentView, registry: Registry): void {
  const groups = { node: () => node.counters, transport: () => node.transport.counters }
  for (const [group, read] of Object.entries(groups)) {
    for (const name of Object.keys(read())) {
      let before = 0
      const collect: CollectFunction<Counter> = function () {
        const now = (read() as unknown as Record<string, number>)[name] ?? 0
        this.inc(now - before)
        before = now
      }
      const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      new Counter({
        name: `corro_${group}_${snake}_total`,
        help: `${group}: ${snake.replaceAll('_', ' ')}`,
        registers: [registry],
        collect,
      })
    }
  }
}

/** Serves `/metrics`, and `/healthz` for supervisors. */
export function serveMetrics(registry: Registry, host: string, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url === '/healthz') {
      response.end('ok\n')
      return
    }
    if (request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: Error) => response.writeHead(500).end(`${error.message}\n`),
    )
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve(server))
  })
}
