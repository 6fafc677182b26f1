import { Command, Option } from 'commander'
import {
  BOX_TOPOLOGY,
  buildPlanet,
  listPlanets,
  loadTopology,
  planWorld,
  removePlanet,
  World,
  type WorldStatus,
  whoamiServer,
  worldStatus,
} from '#planet'
import { interruption } from './interruption.ts'
import { renderTable } from './table.ts'

const WHOAMI_PORT = 8080
const SIGNAL_EXIT_BASE = 128

interface PlanetOption {
  readonly planet: string
}

interface JsonOption {
  readonly json?: true
}

/** `godwit planet`: the multi-region test world on this machine. */
export function planetCommand(): Command {
  return new Command('planet')
    .enablePositionalOptions()
    .summary('a routed multi-region world on this machine')
    .description(
      'Builds a world of regions, hosts and client cities out of network namespaces, joined by an ' +
        'internet that BIRD routes by BGP, and breaks it in the ways that worlds break.',
    )
    .addCommand(upCommand())
    .addCommand(downCommand())
    .addCommand(statusCommand())
    .addCommand(listCommand())
    .addCommand(execCommand())
    .addCommand(startCommand())
    .addCommand(stopCommand())
    .addCommand(cutCommand())
    .addCommand(healCommand())
    .addCommand(stretchCommand())
    .addCommand(killCommand())
    .addCommand(bootCommand())
    .addCommand(announceCommand())
    .addCommand(withdrawCommand())
    .addHelpText(
      'after',
      `
Examples:
  $ godwit planet up --whoami                     a web server on every host
  $ godwit planet exec nrt-client -- curl -s http://203.0.113.1:8080
  $ godwit planet withdraw nrt-1                  anycast goes elsewhere
  $ godwit planet cut ams iad                     the cable breaks, BGP finds the other way
  $ godwit planet kill iad-2                      a host loses power
  $ godwit planet status
  $ godwit planet down`,
    )
}

const planetOption = () =>
  new Option('-p, --planet <name>', 'name of the planet').default('box').env('GODWIT_PLANET')
const jsonOption = () => new Option('--json', 'print JSON')

/** A subcommand that acts on a planet which stands. */
const onPlanet = (usage: string, summary: string) =>
  new Command(usage.split(' ')[0]).summary(summary).description(summary).addOption(planetOption())

interface UpOptions extends PlanetOption, JsonOption {
  readonly topology: string
  readonly latency: boolean
  readonly whoami?: true
}

function upCommand(): Command {
  return onPlanet('up', 'build a planet, or find it standing')
    .addOption(
      new Option('-t, --topology <file>', 'the world to build, in TOML').default(
        BOX_TOPOLOGY,
        'topologies/box.toml',
      ),
    )
    .option('--no-latency', 'every link is immediate, for speed')
    .option('--whoami', `run a web server on port ${WHOAMI_PORT} of every host`)
    .addOption(jsonOption())
    .action(async ({ planet, topology, latency, whoami, json }: UpOptions) => {
      const written = loadTopology(topology)
      const plan = planWorld(planet, latency ? written : { ...written, latency: false })
      const startedMs = performance.now()
      const progress = (step: string) => {
        const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
        process.stderr.write(`${seconds.padStart(6)} s  ${step}\n`)
      }
      const world = await buildPlanet(plan, { progress, signal: interruption() })
      if (whoami) await startWhoami(world, progress)
      const status = await worldStatus(world)
      if (json) printJson(status)
      else {
        printStatus(status)
        printNextSteps(world, whoami === true)
      }
    })
}

async function startWhoami(world: World, progress: (step: string) => void): Promise<void> {
  progress(`starting a web server on every host, port ${WHOAMI_PORT}`)
  for (const { name } of world.ofKind('host')) {
    if (world.commands(name).some((command) => command.name === 'whoami')) continue
    await world.start(name, 'whoami', whoamiServer(WHOAMI_PORT))
  }
}

function printNextSteps(world: World, hasWhoami: boolean): void {
  const client = world.ofKind('client')[0]?.name
  const address = world.plan.anycast[0]?.prefix.replace(/0\/\d+$/, '1')
  const option = world.name === 'box' ? '' : ` -p ${world.name}`
  const lines = [
    ...(hasWhoami && client !== undefined && address !== undefined
      ? [
          `ask the nearest host:  bin/godwit planet exec${option} ${client} -- curl -s http://${address}:${WHOAMI_PORT}`,
        ]
      : []),
    `see it:                bin/godwit planet status${option}`,
    `remove it:             bin/godwit planet down${option}`,
  ]
  process.stdout.write(`\n${lines.join('\n')}\n`)
}

interface DownOptions extends PlanetOption, JsonOption {
  readonly all?: true
}

function downCommand(): Command {
  return onPlanet('down', 'remove a planet, or what is left of one')
    .option('--all', 'every planet of this machine')
    .addOption(jsonOption())
    .action(async ({ planet, all, json }: DownOptions) => {
      const names = all ? listPlanets() : [planet]
      const removed: string[] = []
      for (const name of names) if (await removePlanet(name)) removed.push(name)
      if (json) printJson({ removed })
      else if (removed.length > 0) console.log(`removed ${removed.join(', ')}`)
      else console.log(all ? 'there is no planet' : `there is no planet ${planet}`)
    })
}

function statusCommand(): Command {
  return onPlanet('status', 'nodes, sessions, announcements, links and cuts')
    .addOption(jsonOption())
    .action(async ({ planet, json }: PlanetOption & JsonOption) => {
      const status = await worldStatus(World.open(planet))
      if (json) printJson(status)
      else printStatus(status)
    })
}

function listCommand(): Command {
  const summary = 'planets of this machine'
  return new Command('list')
    .summary(summary)
    .description(summary)
    .addOption(jsonOption())
    .action(({ json }: JsonOption) => {
      const planets = listPlanets()
      if (json) printJson({ planets })
      else console.log(planets.length === 0 ? 'there is no planet' : planets.join('\n'))
    })
}

function execCommand(): Command {
  return onPlanet('exec', 'run a command inside a node')
    .argument('<node>', 'host, client city or router')
    .argument('<command...>', 'the command and its arguments, after --')
    .passThroughOptions()
    .action(async (node: string, line: string[], { planet }: PlanetOption) => {
      const [command, ...args] = commandLine(line)
      const child = World.open(planet).node(node).spawn(command, args, { stdio: 'inherit' })
      process.exitCode = await new Promise<number>((resolve, reject) => {
        child.once('error', reject)
        // The terminal sends Ctrl-C to the command as well; its end is ours.
        for (const signal of ['SIGINT', 'SIGTERM'] as const) {
          process.on(signal, () => child.kill(signal))
        }
        child.once('exit', (code) => resolve(code ?? SIGNAL_EXIT_BASE))
      })
    })
}

function startCommand(): Command {
  return onPlanet('start', 'start a command in the background of a node')
    .argument('<node>')
    .argument('<name>', 'names the command, for stop')
    .argument('<command...>', 'the command and its arguments, after --')
    .passThroughOptions()
    .action(async (node: string, name: string, line: string[], { planet }: PlanetOption) => {
      await World.open(planet).start(node, name, commandLine(line))
    })
}

/** Commander hands a `--` on when options are passed through. */
function commandLine(line: readonly string[]): [string, ...string[]] {
  const [command = '', ...args] = line[0] === '--' ? line.slice(1) : line
  return [command, ...args]
}

function stopCommand(): Command {
  return onPlanet('stop', 'stop a command that start began')
    .argument('<node>')
    .argument('<name>')
    .action((node: string, name: string, { planet }: PlanetOption) =>
      World.open(planet).stop(node, name),
    )
}

interface CutOptions extends PlanetOption {
  readonly silent?: true
  readonly from?: string
}

function cutCommand(): Command {
  return onPlanet('cut', 'cut the link between two neighbours')
    .argument('<node>')
    .argument('<neighbour>')
    .option('--silent', 'frames vanish, but both ends believe the link to be up')
    .option('--from <node>', 'only frames that this node sends vanish; implies --silent')
    .action((a: string, b: string, { planet, silent, from }: CutOptions) =>
      World.open(planet).cut(a, b, {
        silent: silent === true,
        ...(from === undefined ? {} : { from }),
      }),
    )
}

function healCommand(): Command {
  return onPlanet('heal', 'undo a cut')
    .argument('<node>')
    .argument('<neighbour>')
    .action((a: string, b: string, { planet }: PlanetOption) => World.open(planet).heal(a, b))
}

function stretchCommand(): Command {
  return onPlanet('stretch', 'change the delay of a long link while it runs')
    .argument('<node>')
    .argument('<neighbour>')
    .argument('<ms>', 'one way, in milliseconds', Number)
    .action((a: string, b: string, ms: number, { planet }: PlanetOption) =>
      World.open(planet).stretch(a, b, ms),
    )
}

function killCommand(): Command {
  return onPlanet('kill', 'take the power from a node: all its processes end at once')
    .argument('<node>')
    .action((node: string, { planet }: PlanetOption) => World.open(planet).kill(node))
}

function bootCommand(): Command {
  return onPlanet('boot', 'bring a killed node back, with its disk as it was')
    .argument('<node>')
    .action((node: string, { planet }: PlanetOption) => World.open(planet).boot(node))
}

function announceCommand(): Command {
  return onPlanet('announce', 'announce anycast prefixes from a host')
    .argument('<host>')
    .argument('[prefix]', 'default: all')
    .action((host: string, prefix: string | undefined, { planet }: PlanetOption) =>
      World.open(planet).announce(host, prefix),
    )
}

function withdrawCommand(): Command {
  return onPlanet('withdraw', 'withdraw anycast prefixes from a host')
    .argument('<host>')
    .argument('[prefix]', 'default: all')
    .action((host: string, prefix: string | undefined, { planet }: PlanetOption) =>
      World.open(planet).withdraw(host, prefix),
    )
}

function printStatus(status: WorldStatus): void {
  const nodes = status.nodes.map((node) => [
    node.name,
    node.kind,
    node.isUp ? 'up' : 'DOWN',
    node.asn === undefined ? '' : String(node.asn),
    node.kind === 'client' ? '' : `${node.sessions.up}/${node.sessions.all}`,
    node.ipv4,
    node.ipv6,
    node.announces.join(' '),
    node.commands.map(({ name }) => name).join(' '),
  ])
  const nodeHead = ['NODE', 'KIND', 'STATE', 'AS', 'BGP', 'IPV4', 'IPV6', 'ANNOUNCES', 'RUNS']
  const links = status.links.map(({ name, delayMs, cut, traffic }) => [
    name,
    `${delayMs.toFixed(1)} ms`,
    cut === null
      ? 'whole'
      : `CUT${cut.silent ? ' silently' : ''}${cut.from ? ` from ${cut.from}` : ''}`,
    traffic?.map(({ sentFrames }) => sentFrames).join(' / ') ?? '',
    traffic?.map((one) => one.droppedFull + one.droppedAtWrite).join(' / ') ?? '',
  ])
  const linkHead = ['LINK', 'ONE WAY', 'STATE', 'FRAMES', 'DROPPED']
  process.stdout.write(renderTable([nodeHead, ...nodes]))
  process.stdout.write(`\n${renderTable([linkHead, ...links])}`)
  for (const { router, prefix, expected, actual } of status.unsettled) {
    const list = (names: readonly string[]) => names.join(' ') || 'nowhere'
    console.log(`${router} sends ${prefix} to ${list(actual)}, will be ${list(expected)}`)
  }
}

const printJson = (value: unknown) => process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
