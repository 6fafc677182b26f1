import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pollUntil } from '#base'
import { freeUdpPort, LoadClient } from './dns/load-client.ts'
import { addressOf, nameOf } from './dns/records.ts'
import { type Bench, type Figure, median } from './figures.ts'

const APPS = 10_000
const ROUNDS = 5
const QUESTIONS = 100_000
const TICKS_PER_S = 100 // USER_HZ, the same on all Linux of this architecture
const QUIETLY = ['--disable-warning=ExperimentalWarning'] // node:ffi
const SERVE = join(import.meta.dirname, 'dns/serve.ts')
const SERVERS = ['ours', 'peer'] as const

interface Server {
  readonly process: ChildProcess
  readonly client: LoadClient
}

interface Round {
  readonly perSecond: number
  readonly cpuUs: number
}

/** AAAA questions over UDP, each name as often as any other, to one server and then to the other. */
export const bench: Bench = {
  name: 'dns',
  summary: `.internal answers out of ${APPS} apps against dnsmasq with the same records`,
  async run(progress) {
    const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-dns-'))
    const servers: Record<string, Server> = {}
    try {
      progress(`two servers of ${APPS} names`)
      servers['ours'] = await startServer(ours)
      servers['peer'] = await startServer((port) => dnsmasq(folder, port))
      const rounds: Record<string, Round[]> = { ours: [], peer: [] }
      for (let round = -1; round < ROUNDS; round += 1) {
        progress(round < 0 ? 'warming up' : `round ${round + 1} of ${ROUNDS}`)
        for (const name of SERVERS) {
          const measured = await ask(servers[name] as Server)
          if (round >= 0) rounds[name]?.push(measured)
        }
      }
      return figures(rounds['ours'] ?? [], rounds['peer'] ?? [])
    } finally {
      for (const { process, client } of Object.values(servers)) {
        client[Symbol.dispose]()
        process.kill('SIGKILL')
      }
      rmSync(folder, { recursive: true })
    }
  },
}

function figures(ours: readonly Round[], peer: readonly Round[]): Figure[] {
  const cpu = (rounds: readonly Round[]) => median(rounds.map(({ cpuUs }) => cpuUs))
  const rate = (rounds: readonly Round[]) => median(rounds.map(({ perSecond }) => perSecond))
  const ratio = median(ours.map(({ cpuUs }, at) => cpuUs / (peer[at]?.cpuUs ?? Number.NaN)))
  return [
    {
      key: 'cpu_per_query_us',
      value: cpu(ours),
      what: 'CPU of the server, a query',
      better: 'lower',
    },
    { key: 'cpu_per_query_peer_us', value: cpu(peer), what: 'the same, dnsmasq', better: 'lower' },
    {
      key: 'ratio_cpu_vs_peer',
      value: ratio,
      what: 'ours by dnsmasq, same round',
      better: 'lower',
    },
    {
      key: 'queries_per_s',
      value: rate(ours),
      what: 'answers as one client gets them',
      better: 'higher',
    },
    { key: 'queries_peer_per_s', value: rate(peer), what: 'the same, dnsmasq', better: 'higher' },
  ]
}

async function startServer(start: (port: number) => ChildProcess): Promise<Server> {
  const port = await freeUdpPort()
  const process = start(port)
  const client = await LoadClient.open(port)
  const isUp = () => process.exitCode === null && client.answers(nameOf(0), addressOf(0))
  await pollUntil('the server', isUp, { deadlineMs: 60_000 })
  return { process, client }
}

const ours = (port: number): ChildProcess =>
  spawn(process.execPath, [...QUIETLY, SERVE, `${APPS}`, `${port}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })

function dnsmasq(folder: string, port: number): ChildProcess {
  const hosts = join(folder, 'hosts')
  const lines = Array.from({ length: APPS }, (_, at) => `${addressOf(at)} ${nameOf(at)}\n`)
  writeFileSync(hosts, lines.join(''))
  const flags = ['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts']
  const place = [`--addn-hosts=${hosts}`, `--port=${port}`, '--listen-address=127.0.0.1']
  const more = ['--bind-interfaces', '--pid-file=', '--local-ttl=5', '--user=', '--group=']
  return spawn('dnsmasq', [...flags, ...place, ...more], { stdio: ['ignore', 'ignore', 'inherit'] })
}

async function ask({ process, client }: Server): Promise<Round> {
  const [cpuBefore, beganMs] = [cpuTicks(process), performance.now()]
  await client.ask(QUESTIONS, APPS)
  const seconds = (performance.now() - beganMs) / 1000
  const cpuUs = ((cpuTicks(process) - cpuBefore) / TICKS_PER_S / QUESTIONS) * 1e6
  return { perSecond: QUESTIONS / seconds, cpuUs }
}

/** User and system time of a process with all its threads (proc(5), stat, fields 14 and 15). */
function cpuTicks({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}
