import { Command } from 'commander'

/**
 * A command of `godwit`: what the list of commands needs, and how to get the rest. The parts behind
 * one command take up to a second to load; only the one that is asked for does.
 */
export interface CommandEntry {
  /** The name, then its aliases. */
  readonly names: readonly [string, ...string[]]
  readonly about: string
  load(version: string): Promise<Command>
}

const api = () => import('./api/index.ts')
const accounts = () => import('./accounts.ts')

export const COMMANDS: readonly CommandEntry[] = [
  {
    names: ['up'],
    about: 'the whole platform on this machine: three regions, and an app in each',
    load: async () => (await import('./up.ts')).upCommand(),
  },
  {
    names: ['down'],
    about: 'remove what godwit up built',
    load: async () => (await import('./up.ts')).downCommand(),
  },
  {
    names: ['run'],
    about: 'run an image as a machine on this computer',
    load: async () => (await import('./run.ts')).runCommand(),
  },
  {
    names: ['local'],
    about: 'machines of this computer, made by godwit run',
    load: async () => (await import('./local.ts')).localCommand(),
  },
  {
    names: ['planet'],
    about: 'a routed multi-region world on this machine',
    load: async () => (await import('./planet.ts')).planetCommand(),
  },
  {
    names: ['orgs'],
    about: 'organisations',
    load: async () => (await import('./orgs.ts')).orgsCommand(),
  },
  {
    names: ['apps'],
    about: 'the apps of an organisation',
    load: async () => (await api()).appsCommand(),
  },
  {
    names: ['config'],
    about: "an app's configuration (fly.toml)",
    load: async () => (await import('./config.ts')).configCommand(),
  },
  {
    names: ['launch'],
    about: 'make an app of an image: its fly.toml, its name, its first deploy',
    load: async () => (await api()).launchCommand(),
  },
  {
    names: ['deploy'],
    about: 'bring a new release to every machine of an app',
    load: async () => (await api()).deployCommand(),
  },
  {
    names: ['status'],
    about: 'show an app and its machines',
    load: async () => (await api()).statusCommand(),
  },
  {
    names: ['open'],
    about: 'show where an app is reached, and open it in a browser',
    load: async () => (await api()).openCommand(),
  },
  {
    names: ['machine', 'machines', 'm'],
    about: 'machines of an app, one by one',
    load: async () => (await api()).machineCommand(),
  },
  {
    names: ['scale'],
    about: 'how many machines an app has, and how large they are',
    load: async () => (await api()).scaleCommand(),
  },
  {
    names: ['logs'],
    about: "show what an app's machines write, and go on as they do",
    load: async () => (await api()).logsCommand(),
  },
  {
    names: ['ssh'],
    about: "a shell, a command or files in an app's machines",
    load: async () => (await api()).sshCommand(),
  },
  {
    names: ['console'],
    about: 'a shell in a machine that is made for it, and goes after',
    load: async () => (await api()).consoleCommand(),
  },
  {
    names: ['releases'],
    about: 'show what was deployed',
    load: async () => (await api()).releasesCommand(),
  },
  {
    names: ['images'],
    about: 'images that were deployed from files, as the gateway has them',
    load: async () => (await api()).imagesCommand(),
  },
  {
    names: ['checks'],
    about: 'show the health checks of an app',
    load: async () => (await api()).checksCommand(),
  },
  {
    names: ['services'],
    about: 'ports by which an app is reached',
    load: async () => (await api()).servicesCommand(),
  },
  {
    names: ['secrets'],
    about: 'what an app knows and its configuration does not say',
    load: async () => (await api()).secretsCommand(),
  },
  {
    names: ['volumes', 'volume', 'vol'],
    about: 'disks that outlive machines',
    load: async () => (await api()).volumesCommand(),
  },
  {
    names: ['ips'],
    about: 'addresses of an app',
    load: async () => (await api()).ipsCommand(),
  },
  {
    names: ['network-policies'],
    about: "what an app's machines may be reached by, and may reach",
    load: async () => (await api()).networkPoliciesCommand(),
  },
  {
    names: ['certs'],
    about: "an app's own host names and their certificates",
    load: async () => (await api()).certsCommand(),
  },
  {
    names: ['wireguard', 'wg'],
    about: "your own computer in an organisation's private network",
    load: async () => (await api()).wireguardCommand(),
  },
  {
    names: ['platform'],
    about: 'what the platform offers',
    load: async () => (await api()).platformCommand(),
  },
  {
    names: ['regions'],
    about: 'where machines can run',
    load: async () => (await api()).regionsCommand(),
  },
  {
    names: ['tokens'],
    about: 'make, list and revoke tokens; look at, narrow and check them offline',
    load: async () => (await import('./tokens.ts')).tokensCommand(),
  },
  {
    names: ['auth'],
    about: 'as whom commands speak to the API',
    load: async () => (await api()).authCommand(),
  },
  {
    names: ['accounts'],
    about: 'the database of organisations, apps, secrets and tokens',
    load: async () => (await accounts()).accountsCommand(),
  },
  {
    names: ['corrosion'],
    about: 'the replicated database of the cluster',
    load: async () => (await import('./corrosion.ts')).corrosionCommand(),
  },
  {
    names: ['flaps'],
    about: 'the Machines API',
    load: async () => (await import('./flaps.ts')).flapsCommand(),
  },
  {
    names: ['flyd'],
    about: 'the machines of this host',
    load: async (version) => (await import('./flyd.ts')).flydCommand(undefined, version),
  },
  {
    names: ['host'],
    about: 'all daemons of this host',
    load: async () => (await import('./host.ts')).hostCommand(),
  },
  {
    names: ['region'],
    about: 'the regions of the cluster, for operators',
    load: async () => (await import('./host-list.ts')).regionCommand(),
  },
  {
    names: ['install'],
    about: 'have systemd run all daemons of this host',
    load: async () => (await import('./install.ts')).installCommand(),
  },
  {
    names: ['net'],
    about: 'the private network of this host',
    load: async () => (await import('./net.ts')).netCommand(),
  },
  {
    names: ['proxy'],
    about: "a machine's port on this computer; and the proxy of a host",
    load: async () => (await import('./proxy.ts')).proxyCommand(),
  },
  {
    names: ['ca'],
    about: 'the local certificate authority',
    load: async () => (await import('./ca.ts')).caCommand(),
  },
  {
    names: ['dns'],
    about: 'names of the private network',
    load: async () => (await import('./dns.ts')).dnsCommand(),
  },
  {
    names: ['doctor'],
    about: 'try what this machine can do, and say what is missing and what to do about it',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  {
    names: ['version'],
    about: 'which godwit this is',
    load: async (version) => (await import('./version.ts')).versionCommand(version),
  },
]

/** All commands, of which the one that `args` ask for is whole and the others are only their lines. */
export function commandsFor(args: readonly string[], version: string): Promise<Command[]> {
  const words = args.filter((word) => !word.startsWith('-'))
  const asked = words[0] === 'help' ? words[1] : words[0]
  return Promise.all(
    COMMANDS.map((entry) =>
      asked !== undefined && entry.names.includes(asked) ? entry.load(version) : lineOf(entry),
    ),
  )
}

function lineOf({ names: [name, ...aliases], about }: CommandEntry): Command {
  return new Command(name).aliases(aliases).description(about)
}
