import { Command, Option } from 'commander'
import { createLog, firstOf, formatDurationMs } from '#base'
import {
  type AnycastStatus,
  commandNet,
  type DeviceStatus,
  DROP_MEANINGS,
  type DropReason,
  type Drops,
  findNetworkFaults,
  type GatewayStatus,
  loadNetConfig,
  type MachineStatus,
  MESH,
  type NetworkFault,
  type NetworkStatus,
  networkStatus,
  openNet,
  openSystem,
  ownAddress,
  type PeerStatus,
  STATE_FOLDER,
} from '#net6'
import { renderTable } from './table.ts'
import { wantsColour } from './terminal.ts'

const CONFIG_FILE = '/etc/godwit/net.toml'
const SOCKET = '/run/godwit/net.sock'

interface HostOptions {
  readonly state: string
  readonly json?: true
}

const stateOption = () =>
  new Option('--state <folder>', "where the host keeps its network's state").default(STATE_FOLDER)
const jsonOption = () => new Option('--json', 'print JSON')

/** `godwit net`: the private network of this host. */
export function netCommand(): Command {
  return new Command('net')
    .summary('the private network of this host')
    .description(
      "The private network: this host's machines, their drops, and the links to other hosts.",
    )
    .addCommand(runCommand())
    .addCommand(statusCommand())
    .addCommand(addressCommand())
    .addCommand(rotateKeyCommand())
    .addCommand(drainCommand('drain', 'have visitors served elsewhere, then announce nothing'))
    .addCommand(drainCommand('undrain', 'announce the anycast prefixes again'))
    .addCommand(anycastCommand())
    .addHelpText(
      'after',
      `
Examples:
  $ godwit net status
  $ godwit net status --json | jq '.machines[].counters.drops'
  $ godwit doctor network        tries every link and says what is wrong`,
    )
}

function runCommand(): Command {
  return new Command('run')
    .summary('keep the network of this host until told to stop')
    .description(
      'Keeps the links to other hosts as their rows say, in the foreground. SIGTERM and SIGINT end it; links, ' +
        'addresses and programs stay as they are.',
    )
    .option('-c, --config <file>', 'the configuration file', CONFIG_FILE)
    .addHelpText('after', '\nExample:\n  $ godwit net run --config net.toml')
    .action(async ({ config }: { config: string }) => {
      const log = createLog({ part: 'net6' })
      const stop = new Promise<void>((resolve) => {
        process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve())
      })
      await using running = await openNet(loadNetConfig(config), { log })
      await firstOf(stop, running.moved)
    })
}

function rotateKeyCommand(): Command {
  return new Command('rotate-key')
    .summary("change this host's WireGuard key, without losing a packet")
    .description(
      'Makes a new key and uses it beside the old one, which goes when all hosts that are heard have taken the new one.',
    )
    .option('--socket <file>', "the daemon's socket", SOCKET)
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ godwit net rotate-key')
    .action(async ({ socket, json }: { socket: string; json?: true }) => {
      const columns = (await commandNet(socket, 'rotate-key')) as Record<string, string>
      const text = `new key ${columns['mesh_public_key']}; the old one goes by itself\n`
      process.stdout.write(json ? `${JSON.stringify(columns, undefined, 2)}\n` : text)
    })
}

const drainCommand = (name: 'drain' | 'undrain', summary: string) =>
  new Command(name)
    .summary(summary)
    .description(
      `Anycast of this host: ${summary}. Neighbours are asked to prefer other hosts first; connections that are there go on.`,
    )
    .option('--socket <file>', "the daemon's socket", SOCKET)
    .addOption(jsonOption())
    .addHelpText('after', `\nExample:\n  $ godwit net ${name}`)
    .action(async ({ socket, json }: { socket: string; json?: true }) => {
      const { phase } = (await commandNet(socket, name)) as { phase: string }
      process.stdout.write(json ? `${JSON.stringify({ phase })}\n` : `anycast: ${phase}\n`)
    })

function anycastCommand(): Command {
  return new Command('anycast')
    .summary('what this host announces, and its sessions with neighbours')
    .description(
      "Asks the network's daemon and, through it, BIRD: BGP sessions, and BFD sessions where there are any.",
    )
    .option('--socket <file>', "the daemon's socket", SOCKET)
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ godwit net anycast')
    .action(async ({ socket, json }: { socket: string; json?: true }) => {
      const status = (await commandNet(socket, 'anycast')) as AnycastStatus
      process.stdout.write(json ? `${JSON.stringify(status, undefined, 2)}\n` : anycast(status))
    })
}

function anycast({ phase, prefixes, bgp, bfd }: AnycastStatus): string {
  const detections = bfd.map((one) => [
    one.address,
    one.interface,
    one.state,
    `${one.intervalSeconds} s`,
    `${one.timeoutSeconds} s`,
  ])
  return [
    `${phase}: ${prefixes.join(', ')}\n\n`,
    renderTable([['BGP', 'STATE'], ...bgp.map(({ name, info }) => [name, info])]),
    ...(bfd.length === 0
      ? []
      : ['\n', renderTable([['BFD', 'INTERFACE', 'STATE', 'EVERY', 'GONE AFTER'], ...detections])]),
  ].join('')
}

function statusCommand(): Command {
  return new Command('status')
    .summary(
      "machines, what was dropped and why, other hosts and people's devices with their last handshake",
    )
    .description('Reads what stands on this host; needs no daemon, and changes nothing.')
    .addOption(stateOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExamples:\n  $ godwit net status\n  $ godwit net status --json')
    .action(async ({ state, json }: HostOptions) => {
      const status = await networkStatus({ system: openSystem(), folder: state })
      process.stdout.write(json ? `${JSON.stringify(status, undefined, 2)}\n` : describe(status))
    })
}

function addressCommand(): Command {
  const summary = 'print where other hosts reach this one on the mesh'
  return new Command('address')
    .summary(summary)
    .description(`Waits until this host has its address on the mesh, and prints it.`)
    .addOption(stateOption())
    .addOption(jsonOption())
    .option('--wait <seconds>', 'how long it may take to be there', Number, 30)
    .addHelpText('after', '\nExamples:\n  $ godwit net address\n  $ godwit net address --wait 0')
    .action(async ({ state, json, wait }: HostOptions & { wait: number }) => {
      const { address } = await ownAddress(MESH, { folder: state, deadlineMs: wait * 1000 })
      process.stdout.write(json ? `${JSON.stringify({ address })}\n` : `${address}\n`)
    })
}

/** `godwit doctor network`: tries every link of this host. Exits 1 when something is wrong. */
export function doctorNetworkCommand(): Command {
  return new Command('network')
    .summary('find a broken link, a blocked port, an MTU hole or a stale peer')
    .description(
      "Tries every link of this host, inside and outside the mesh, and every gateway for people's devices, and says what " +
        'is wrong. Notices may have a harmless reason; they do not count for the exit code.',
    )
    .addOption(stateOption())
    .addOption(jsonOption())
    .option('--mtu <bytes>', 'what should pass between hosts', Number, 1420)
    .addHelpText(
      'after',
      '\nExamples:\n  $ godwit doctor network\n  $ godwit doctor network --json',
    )
    .action(async ({ state, json, mtu }: HostOptions & { mtu: number }) => {
      const interrupt = new AbortController()
      process.once('SIGINT', () => interrupt.abort(new Error('interrupted')))
      const progress = (step: string) => process.stderr.write(`${step}\n`)
      const options = { system: openSystem(), folder: state, mtuBytes: mtu, progress }
      const faults = await findNetworkFaults(options, interrupt.signal)
      const colour = wantsColour(process.stdout)
      process.stdout.write(
        json ? `${JSON.stringify({ faults }, undefined, 2)}\n` : describeFaults(faults, colour),
      )
      if (faults.some(({ severity }) => severity !== 'notice')) process.exitCode = 1
    })
}

function describeFaults(faults: readonly NetworkFault[], colour: boolean): string {
  if (faults.length === 0) return 'no fault found\n'
  const paint = ({ kind, severity }: NetworkFault) =>
    colour ? `\x1b[${severity === 'notice' ? 33 : 31}m${kind}\x1b[0m` : kind
  const named = (fault: NetworkFault) =>
    fault.severity === 'notice' ? `${paint(fault)} (notice)` : paint(fault)
  return faults
    .map((fault) => ({ ...fault, name: named(fault) }))
    .map(({ name, subject, what, fix }) => `${name}  ${subject}: ${what}\n  fix: ${fix}\n`)
    .join('')
}

function describe({ isSetUp, hasFirewall, machines, mesh, peers, gateway }: NetworkStatus): string {
  if (!isSetUp) return 'no network on this host yet: its daemon makes it\n'
  const rows = machines.map(({ id, networkId, privateIp, device, counters, ...state }) => [
    id,
    String(networkId),
    privateIp,
    device,
    describeState(state),
    `${counters.inPackets} / ${counters.outPackets}`,
    describeDrops(counters.drops),
  ])
  const head = ['MACHINE', 'NETWORK', 'ADDRESS', 'DEVICE', 'STATE', 'SENT / RECEIVED', 'DROPPED']
  const meshRows = mesh.map(({ device, listenPort, isGuarded, counters }) => [
    device,
    String(listenPort),
    isGuarded ? 'up' : 'UNGUARDED',
    `${counters.inPackets} / ${counters.outPackets}`,
    describeDrops(counters.drops),
  ])
  const peerHead = ['PEER', 'DEVICE', 'ENDPOINT', 'HANDSHAKE', 'RECEIVED / SENT BYTES']
  return [
    ...(hasFirewall ? [] : ['the firewall is gone: godwit doctor network\n\n']),
    renderTable([head, ...rows]),
    '\n',
    renderTable([['MESH', 'PORT', 'STATE', 'IN / OUT', 'DROPPED'], ...meshRows]),
    '\n',
    renderTable([peerHead, ...peers.map(peerRow)]),
    ...(gateway === undefined ? [] : describeGateway(gateway)),
    ...meaningsOf(
      [...machines, ...mesh, ...(gateway === undefined ? [] : [gateway])].map(
        ({ counters }) => counters.drops,
      ),
    ),
  ].join('')
}

const peerRow = ({
  backhaulIp,
  device,
  endpoint,
  handshakeMs,
  receivedBytes,
  sentBytes,
}: PeerStatus) => [
  backhaulIp,
  device,
  endpoint ?? '-',
  sinceText(handshakeMs),
  `${receivedBytes} / ${sentBytes}`,
]

function describeGateway({ device, listenPort, isGuarded, counters, devices }: GatewayStatus) {
  const head = ['GATEWAY', 'PORT', 'STATE', 'IN / OUT', 'DROPPED']
  const row = [
    ...[device, String(listenPort), isGuarded ? 'up' : 'UNGUARDED'],
    ...[`${counters.inPackets} / ${counters.outPackets}`, describeDrops(counters.drops)],
  ]
  const deviceHead = [
    'DEVICE OF A PERSON',
    'NETWORK',
    'BY',
    'ENDPOINT',
    'HANDSHAKE',
    'RECEIVED / SENT BYTES',
  ]
  return [
    ...['\n', renderTable([head, row])],
    ...(devices.length === 0 ? [] : ['\n', renderTable([deviceHead, ...devices.map(deviceRow)])]),
  ]
}

const TRANSPORTS = { udp: 'UDP', web_socket: 'WebSocket' } as const

const deviceRow = (device: DeviceStatus) => [
  device.peerIp,
  String(device.networkId),
  device.transport === undefined ? '-' : TRANSPORTS[device.transport],
  device.endpoint ?? '-',
  sinceText(device.handshakeMs),
  `${device.receivedBytes} / ${device.sentBytes}`,
]

const sinceText = (handshakeMs: number | undefined) =>
  handshakeMs === undefined ? 'never' : `${formatDurationMs(secondsSince(handshakeMs) * 1000)} ago`

const secondsSince = (ms: number) => Math.round((Date.now() - ms) / 1000)

function describeState({
  isUp,
  isGuarded,
  policy,
}: Pick<MachineStatus, 'isUp' | 'isGuarded' | 'policy'>): string {
  const policed = Object.keys(policy)
  const note = policed.length === 0 ? '' : `, policed ${policed.join(' and ')}`
  return isUp ? `${isGuarded ? 'up' : 'UNGUARDED'}${note}` : 'down'
}

const describeDrops = (drops: Drops) =>
  Object.entries(drops)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ') || '-'

/** The reasons that were printed, explained. */
function meaningsOf(all: readonly Drops[]): string[] {
  const seen = new Set(all.flatMap((drops) => Object.keys(drops) as DropReason[]))
  if (seen.size === 0) return []
  return ['\n', renderTable([...seen].map((reason) => [reason, DROP_MEANINGS[reason]]))]
}
