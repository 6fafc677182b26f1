/** Verbs of flyctl that this platform has not, or calls otherwise: what to do instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  agent: 'nothing runs in the background here: `godwit ssh`, `proxy` and `wireguard` need no agent',
  'apps errors': 'see `godwit logs -a APP` and `godwit releases -a APP`',
  'apps move':
    'an app stays in its organisation: make one there with `godwit apps create`, and deploy it',
  'apps resume': 'start its machines: `godwit machine start ID -a APP`',
  'apps suspend': 'stop its machines: `godwit machine stop ID -a APP`',
  'auth docker': 'bring images with `godwit deploy --image ./image.tar`, or from any registry',
  'auth login':
    'godwit takes a token, `godwit auth --help` says from where; `fly auth login` of the stock client works: docs/flyctl.md',
  'auth logout': 'godwit keeps no login: unset GODWIT_TOKEN and FLY_API_TOKEN',
  'auth signup': 'an operator makes your organisation and its token: docs/tokens.md',
  autoscale:
    'machines start and stop by requests: auto_start_machines and auto_stop_machines in fly.toml',
  consul: 'this platform runs no Consul for apps: run your own as an app with a volume',
  create: '`godwit apps create`',
  curl: '`curl`; how long each step takes is in `godwit proxy top` of a host',
  dashboard: 'this platform has no dashboard yet: `godwit status -a APP --watch`',
  destroy: '`godwit apps destroy`',
  dig: 'ask inside: `godwit ssh console -a APP -C "nslookup NAME.internal"`, or join the network with `godwit wireguard create`',
  'dns-records':
    'zones are kept where your domain is: `godwit certs add NAME` says what they must have',
  docs: 'the manuals are in the folder docs of the repository',
  domains: 'domains are bought and kept elsewhere: `godwit certs add NAME` says what DNS must have',
  extensions:
    'this platform sells no services of others: set what they gave you with `godwit secrets set`',
  history: '`godwit releases -a APP`',
  image: '`godwit deploy --image REFERENCE` updates; `godwit machine list -a APP` shows what runs',
  incidents: '`godwit host list` and `godwit net status`, for operators',
  info: '`godwit status -a APP`, and `godwit services list -a APP`',
  kubernetes: 'this platform runs no Kubernetes',
  list: '`godwit apps list`',
  'litefs-cloud': 'LiteFS is not backed up by a service here',
  'machine egress-ip': 'an app has no egress address of its own',
  mcp: 'run the server as an app: `godwit launch`',
  monitor: '`godwit status -a APP --watch`',
  move: 'machines move by themselves when their host is drained; a new region: `godwit scale count N --region CODE`',
  mpg: 'there is no managed Postgres: run it as an app with a volume',
  mysql: 'run it as an app with a volume: `godwit launch --image mysql:8`',
  ping: 'ask inside: `godwit ssh console -a APP -C "ping NAME.internal"`, or join the network with `godwit wireguard create`',
  'platform status': '`godwit host list` and `godwit region list`, for operators',
  postgres:
    'there is no Postgres command yet: run it as an app with a volume, as `godwit launch --image postgres:17`',
  redis: 'run it as an app: `godwit launch --image redis:7`',
  registry: 'images come from files (`godwit deploy --image ./image.tar`) and from any registry',
  restart: '`godwit apps restart APP`',
  resume: 'start its machines: `godwit machine start ID -a APP`',
  settings: 'this command line keeps no settings and sends no figures anywhere',
  storage: 'object storage is elsewhere: set its keys with `godwit secrets set`',
  suspend: 'stop its machines: `godwit machine stop ID -a APP`',
  synthetics: 'health checks are in fly.toml: [checks]',
  vm: '`godwit machine`',
}

const SAME: Readonly<Record<string, string>> = {
  ext: 'extensions',
  k8s: 'kubernetes',
  lfsc: 'litefs-cloud',
  'managed-postgres': 'mpg',
  pg: 'postgres',
  sentry: 'extensions',
  supabase: 'extensions',
  tigris: 'storage',
}

/**
 * What somebody who knows flyctl should use for a verb that is not here. Undefined: it is no such verb.
 *
 * @param words of the command line that are no options
 */
export function insteadOf(
  words: readonly string[],
): { readonly verb: string; readonly fix: string } | undefined {
  const [first = '', second = ''] = words
  for (const verb of [`${first} ${second}`, SAME[first] ?? first]) {
    const use = INSTEAD[verb]
    if (use !== undefined)
      return { verb: verb === `${first} ${second}` ? verb : first, fix: fixOf(use) }
  }
  return undefined
}

const fixOf = (use: string) => (use.startsWith('`') ? `use ${use}` : use)
