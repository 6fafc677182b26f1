import { pollUntil, systemClock } from '#base'
import { generateClusterCa } from '#trust'
import { type Figure, median, quantile } from '../figures.ts'
import { AgentHandle, startAgent } from './agent-handle.ts'
import { memoryOf } from './process-memory.ts'

const NODES = 5
const PER_SECOND = 500
const LOAD_MS = 12_000
const WARM_UP_MS = 3_000
const IDLE_MS = 5_000
/** Round trips are sampled each second, and say who is near. */
const SETTLED_MS = 3_000
const JOIN_DEADLINE_MS = 30_000
const ARRIVAL_DEADLINE_MS = 20_000

/** What one load did. */
interface Loaded {
  readonly written: number
  readonly seconds: number
  readonly cpuUs: number
  readonly own: readonly number[]
  readonly others: readonly number[]
}

/** Five agents on loopback, each a process with a subscription; their memory beside that of a bare Node. */
export async function measureCluster(
  folder: string,
  progress: (step: string) => void,
): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack()
  progress(`${NODES} agents start`)
  const bare = stack.use(new AgentHandle('bare', 'bare-process.mjs'))
  const agents: AgentHandle[] = []
  const ca = await generateClusterCa()
  for (let at = 0; at < NODES; at += 1) {
    const bootstrap = agents.slice(0, 2).map(({ address }) => address)
    agents.push(stack.use(await startAgent({ name: `node-${at}`, folder, ca, bootstrap })))
  }
  await pollUntil('all agents know each other', () => allKnow(agents), {
    deadlineMs: JOIN_DEADLINE_MS,
  })
  for (const agent of agents) await agent.ask('subscribe', agent.name)
  await systemClock.sleep(SETTLED_MS)

  progress('idle')
  const idleUs = await totalCpuUs(agents)
  await systemClock.sleep(IDLE_MS)
  const idlePercent = ((await totalCpuUs(agents)) - idleUs) / NODES / (IDLE_MS * 10)
  const idle = agents.map(({ pid }) => memoryOf(pid).rssMib)
  const floorMib = memoryOf(bare.pid).rssMib

  let firstId = 1
  const load = async (writers: readonly AgentHandle[], forMs: number) => {
    const loaded = await runLoad(agents, writers, forMs, firstId)
    firstId += 1_000_000 * NODES
    return loaded
  }
  progress('warming up')
  await load(agents, WARM_UP_MS)
  progress(`${PER_SECOND} transactions/s over all`)
  const spread = await load(agents, LOAD_MS)
  progress(`${PER_SECOND} transactions/s at one`)
  const single = await load(agents.slice(0, 1), LOAD_MS)
  const busy = agents.map(({ pid }) => memoryOf(pid).rssMib)
  return [
    ...loadFigures('spread', `${PER_SECOND}/s over ${NODES} nodes`, spread),
    ...loadFigures('single', `${PER_SECOND}/s at one of ${NODES} nodes`, single),
    ...memoryFigures(floorMib, idle, busy),
    { key: 'idle_cpu_percent', value: idlePercent, what: 'of a core, one agent', better: 'lower' },
  ]
}

async function allKnow(agents: readonly AgentHandle[]): Promise<boolean> {
  const counts = await Promise.all(agents.map((agent) => agent.ask('memberCount')))
  return counts.every((count) => count === NODES - 1)
}

async function totalCpuUs(agents: readonly AgentHandle[]): Promise<number> {
  const all = await Promise.all(agents.map((agent) => agent.ask('cpuUs')))
  return all.reduce((sum, one) => sum + one, 0)
}

/** Writes, and waits until every agent has seen every row. */
async function runLoad(
  agents: readonly AgentHandle[],
  writers: readonly AgentHandle[],
  forMs: number,
  firstId: number,
): Promise<Loaded> {
  const cpuBeforeUs = await totalCpuUs(agents)
  const startMs = performance.now()
  const counts = await Promise.all(
    writers.map((writer, at) =>
      writer.ask('write', {
        owner: writer.name,
        perSecond: PER_SECOND / writers.length,
        forMs,
        seed: at + 1,
        firstId: firstId + at * 1_000_000,
      }),
    ),
  )
  const seconds = (performance.now() - startMs) / 1_000
  const written = counts.reduce((sum, count) => sum + count, 0)
  const own: number[] = []
  const others: number[] = []
  const collect = async () => {
    for (const agent of agents) {
      const delays = await agent.ask('takeDelays')
      own.push(...delays.own)
      others.push(...delays.others)
    }
    return own.length === written && others.length === written * (NODES - 1)
  }
  await pollUntil('every row is an event on every node', collect, {
    deadlineMs: ARRIVAL_DEADLINE_MS,
  })
  return { written, seconds, cpuUs: (await totalCpuUs(agents)) - cpuBeforeUs, own, others }
}

function loadFigures(name: string, what: string, loaded: Loaded): Figure[] {
  const { written, seconds, cpuUs, own, others } = loaded
  const event = 'commit to subscription event'
  const ms = (key: string, delays: readonly number[], ratio: number, where: string): Figure => ({
    key: `${name}_${key}_ms`,
    value: quantile(delays, ratio) / 1_000,
    what: `${event} ${where}, ${what}`,
    better: 'lower',
  })
  return [
    ms('event_p50', others, 0.5, 'elsewhere'),
    ms('event_p99', others, 0.99, 'elsewhere'),
    ms('event_max', others, 1, 'elsewhere'),
    ms('own_event_p50', own, 0.5, 'at the writer'),
    { key: `${name}_rate_per_s`, value: written / seconds, what: 'reached', better: 'higher' },
    {
      key: `${name}_transaction_cpu_us`,
      value: cpuUs / written,
      what: `CPU of a transaction, all ${NODES} agents`,
      better: 'lower',
    },
  ]
}

function memoryFigures(
  floorMib: number,
  idle: readonly number[],
  busy: readonly number[],
): Figure[] {
  const mib = (key: string, value: number, what: string): Figure => {
    return { key, value, what: `resident, ${what}`, better: 'lower' }
  }
  return [
    mib('rss_bare_node_mib', floorMib, 'a process of Node that does nothing'),
    mib('rss_idle_mib', median(idle), 'an agent, idle'),
    mib('rss_loaded_mib', median(busy), 'an agent after the load'),
    mib('rss_loaded_max_mib', Math.max(...busy), 'the largest agent after the load'),
    {
      key: 'ratio_rss_idle_vs_bare_node',
      value: median(idle) / floorMib,
      what: 'an idle agent against its floor',
      better: 'lower',
    },
  ]
}
