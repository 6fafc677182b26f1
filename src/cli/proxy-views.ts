import { Command, InvalidArgumentError } from 'commander'
import type { ExplainAnswer, TopView } from '#proxy'
import { renderTable } from './table.ts'

const ADMIN_SOCKET = '/run/godwit/proxy.sock'
const REFRESH_MS = 1_000

/** `godwit proxy top` and `godwit proxy explain`: what the proxy of this host does, and why. */
export const proxyViewCommands = (): Command[] => [topCommand(), explainCommand()]

interface TopOptions {
  readonly admin: string
  readonly json?: boolean
  readonly once?: boolean
}

function topCommand(): Command {
  return new Command('top')
    .summary('what goes through the proxy, live')
    .description('Apps with machines and requests in flight, busiest first. Ctrl-C ends it.')
    .option('--admin <path>', "the proxy's admin socket", ADMIN_SOCKET)
    .option('--once', 'one look, without clearing the screen')
    .option('--json', 'one look as JSON')
    .action(async ({ admin, json, once }: TopOptions) => {
      const { askTop } = await import('#proxy')
      if (json) {
        process.stdout.write(`${JSON.stringify(await askTop(admin))}\n`)
        return
      }
      const isLive = process.stdout.isTTY === true && !once
      do {
        const text = renderTop(await askTop(admin))
        process.stdout.write(isLive ? `\u001b[H\u001b[2J${text}` : text)
        if (isLive) await new Promise((resolve) => setTimeout(resolve, REFRESH_MS))
      } while (isLive)
    })
    .addHelpText('after', '\nExamples:\n  $ godwit proxy top\n  $ godwit proxy top --json')
}

function renderTop(view: TopView): string {
  const unreachable = view.unreachable_hosts.join(', ') || 'none'
  const head = [
    `host ${view.host}: ${view.waiting} waiting, ${view.waking} starting,`,
    `${view.starts} starts (${view.start_failures} failed), ${view.replays} replays,`,
    `${view.replay_cache_hits} from the cache; unreachable hosts: ${unreachable}`,
  ].join(' ')
  const rows = view.apps.map((app) => [
    app.app,
    String(app.in_flight),
    `${app.load}/${app.soft_limit}`,
    String(app.running),
    String(app.starting),
    String(app.stopped),
  ])
  const table = renderTable([
    ['APP', 'IN FLIGHT', 'LOAD/SOFT', 'RUNNING', 'STARTING', 'STOPPED'],
    ...rows,
  ])
  return `${head}\n\n${table}`
}

interface ExplainOptions {
  readonly admin: string
  readonly port: number
  readonly header: readonly string[]
  readonly json?: boolean
}

function explainCommand(): Command {
  return new Command('explain')
    .summary('which machine a request would get, and why')
    .description('Decides as for a request, now, without sending, counting or starting anything.')
    .argument('<host>', 'a host name, an app, or an address')
    .argument('[path]', 'of the request', '/')
    .option('--admin <path>', "the proxy's admin socket", ADMIN_SOCKET)
    .option('--port <number>', 'the public port', parsePort, 443)
    .option('-H, --header <name:value>', 'a routing header; may be repeated', collect, [])
    .option('--json', 'print JSON')
    .action(async (host: string, path: string, options: ExplainOptions) => {
      const { askExplain } = await import('#proxy')
      const { admin, port, json } = options
      const headers = Object.fromEntries(options.header.map(splitHeader))
      const answer = await askExplain(admin, { host, path, port, headers })
      process.stdout.write(json ? `${JSON.stringify(answer)}\n` : renderAnswer(answer))
      if (!answer.found) process.exitCode = 1
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit proxy explain my-app.example.com /
  $ godwit proxy explain my-app / -H 'fly-prefer-region: nrt' --json`,
    )
}

function renderAnswer(answer: ExplainAnswer): string {
  if (!answer.found) return `${answer.why}\n`
  const { decision } = answer
  const rows = decision.regions.flatMap(({ region, distance_ms: distance, machines }) =>
    machines.map((machine) => [
      machine.machine === decision.chosen ? '*' : '',
      machine.machine,
      region,
      `${distance.toFixed(1)} ms`,
      machine.host,
      machine.state,
      `${machine.load}/${machine.soft_limit}/${machine.hard_limit ?? '-'}`,
      machine.verdict,
    ]),
  )
  const head = ['', 'MACHINE', 'REGION', 'DISTANCE', 'HOST', 'STATE', 'LOAD/SOFT/HARD', 'VERDICT']
  const chosen = decision.chosen ?? 'no machine'
  return `${chosen}: ${decision.why}\n\n${renderTable([head, ...rows])}`
}

function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new InvalidArgumentError('a port is a number from 1 to 65535.')
}

const collect = (value: string, all: readonly string[]) => [...all, value]

function splitHeader(text: string): [string, string] {
  const colon = text.indexOf(':')
  return [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()]
}
