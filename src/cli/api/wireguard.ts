import { writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { Command } from 'commander'
import { errorCode } from '#base'
import { renderTable } from '../table.ts'
import {
  type ConnectionOptions,
  connect,
  type Print,
  printOut,
  withConnection,
} from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { ago } from './machine-table.ts'
import { wireguardConfig } from './wireguard-config.ts'

interface Options extends ConnectionOptions {
  readonly json?: boolean
}

interface CreateOptions extends Options {
  readonly network?: string
}

/** `godwit wireguard`: people's devices in private networks. */
export function wireguardCommand(print: Print = printOut): Command {
  return new Command('wireguard')
    .alias('wg')
    .summary("your own computer in an organisation's private network")
    .addCommand(createCommand(print))
    .addCommand(listCommand(print))
    .addCommand(statusCommand(print))
    .addCommand(removeCommand(print))
}

const subcommand = (name: string, summary: string, examples: readonly string[]): Command =>
  withConnection(
    new Command(name)
      .summary(summary)
      .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
      .argument('<org>', 'slug of the organisation')
      .option('-j, --json', 'print JSON'),
  ).addHelpText(
    'after',
    `\nExamples:\n${examples.map((one) => `  $ godwit wireguard ${one}`).join('\n')}`,
  )

const createCommand = (print: Print) =>
  subcommand('create', 'let a computer in; prints or writes the configuration for wg-quick', [
    'create birds ams laptop birds.conf && wg-quick up ./birds.conf',
    'create birds',
  ])
    .argument('[region]', 'of the gateway; else the one nearest to the API')
    .argument('[name]', 'of the peer, found as <name>._peer.internal')
    .argument('[file]', 'where the configuration goes; else it is printed')
    .option('--network <name>', 'a custom network of the organisation')
    .action(async (org: string, region, name, file: string | undefined, options: CreateOptions) => {
      const { generateMeshKey } = await import('#net6')
      const { systemRandom, ulidGenerator, systemClock } = await import('#base')
      const key = generateMeshKey()
      const { network } = options
      using client = await connect(options)
      const made = await client.wireguardPeers(org).add({
        name: name ?? generatedName(ulidGenerator({ clock: systemClock, random: systemRandom })()),
        pubkey: key.publicKey,
        ...(region === undefined ? {} : { region }),
        ...(network === undefined ? {} : { network }),
      })
      const config = await wireguardConfig(made, key.privateKey)
      if (file !== undefined) {
        try {
          writeFileSync(file, config, { mode: 0o600, flag: 'wx' })
        } catch (cause) {
          await client.wireguardPeers(org).remove(made.name)
          throw notWritten(file, cause)
        }
      }
      if (options.json) {
        print(`${JSON.stringify({ ...made, ...(file === undefined ? { config } : { file }) })}\n`)
      } else {
        print(
          file === undefined ? config : `${made.name} may join; bring it up: wg-quick up ${file}\n`,
        )
      }
    })

const listCommand = (print: Print) =>
  subcommand('list', 'show the peers of an organisation', ['list birds']).action(
    async (org: string, options: Options) => {
      using client = await connect(options)
      const peers = await client.wireguardPeers(org).list()
      if (options.json) return print(`${JSON.stringify(peers)}\n`)
      if (peers.length === 0) return print(`${org} has no peers\n`)
      const rows = peers.map(({ name, region, network, peerip, last_handshake: heard }) => [
        name,
        region,
        network,
        peerip,
        heard === null ? 'never' : ago(heard),
      ])
      print(renderTable([['NAME', 'REGION', 'NETWORK', 'ADDRESS', 'HANDSHAKE'], ...rows]))
    },
  )

const statusCommand = (print: Print) =>
  subcommand('status', 'show what its gateway sees of a peer', ['status birds laptop'])
    .argument('<name>', 'of the peer')
    .action(async (org: string, name: string, options: Options) => {
      using client = await connect(options)
      const peer = (await client.wireguardPeers(org).list()).find((one) => one.name === name)
      if (peer === undefined) {
        throw new ApiInputError('cli.bad_value', {
          what: 'the organisation has no such peer',
          values: { org, name },
          fix: `godwit wireguard list ${org}`,
        })
      }
      if (options.json) return print(`${JSON.stringify(peer)}\n`)
      const heard = peer.last_handshake
      print(
        renderTable([
          ['Name', peer.name],
          ['Live', peer.live ? 'yes' : 'no'],
          ['Handshake', heard === null ? 'never' : ago(heard)],
          ['Heard at', peer.endpoint || '-'],
          ['Received / sent', `${peer.rx} / ${peer.tx} bytes, at that handshake`],
          ['Address', peer.peerip],
          ['Network', peer.network],
          ['Gateway', `${peer.gateway} (${peer.region})`],
          ['Since', ago(peer.created_at)],
        ]),
      )
    })

const removeCommand = (print: Print) =>
  subcommand('remove', 'cut a peer off, within seconds', ['remove birds laptop'])
    .argument('<name>', 'of the peer')
    .action(async (org: string, name: string, options: Options) => {
      using client = await connect(options)
      await client.wireguardPeers(org).remove(name)
      print(options.json ? `${JSON.stringify({ name })}\n` : `${name} is removed\n`)
    })

const NAME_CHARS_MAX = 63

/** `static-<computer>-<ULID>`. */
function generatedName(ulid: string): string {
  const computer = hostname()
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  const room = NAME_CHARS_MAX - 'static--'.length - ulid.length
  return `static-${computer.slice(0, room).replace(/-+$/, '') || 'peer'}-${ulid}`
}

const notWritten = (file: string, cause: unknown) =>
  new ApiInputError('cli.bad_value', {
    what: errorCode(cause) === 'EEXIST' ? 'the file is there already' : 'cannot write the file',
    values: { file },
    fix: 'name another file; the peer was removed again',
    cause,
  })
