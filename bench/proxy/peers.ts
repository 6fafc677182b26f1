import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { pollUntil } from '#base'

/** Where a proxy listens, and what it costs. */
export interface Peer extends AsyncDisposable {
  readonly name: 'ours' | 'haproxy' | 'nginx' | 'caddy'
  readonly http: number
  readonly tls: number
  readonly ws: number
  /** CPU time of all its processes and threads so far, in nanoseconds. */
  cpuNs(): number
  rssBytes(): number
}

export interface Site {
  readonly folder: string
  /** The machine's ports: nginx with files, and an echo for WebSockets. */
  readonly machine: number
  readonly echo: number
}

const PROXY_CORE = '0'
const START_DEADLINE_MS = 30_000
/** Each proxy has two ports from here on; the machine stands before them. */
export const FIRST_PORT = 26_400

type Ports = { http: number; tls: number; ws: number }

/** All peers, each bound to the one core that is kept for proxies. */
export async function startPeers(site: Site, stack: AsyncDisposableStack): Promise<Peer[]> {
  makeCertificate(site.folder)
  const starts = [startOurs, startHaproxy, startNginx, startCaddy]
  const peers: Peer[] = []
  for (const [index, start] of starts.entries()) {
    const base = FIRST_PORT + 10 + index * 10
    peers.push(stack.use(await start(site, { http: base, tls: base + 1, ws: base + 2 })))
  }
  return peers
}

function makeCertificate(folder: string): void {
  const options = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
  ]
  const names = [
    '-subj',
    '/CN=bench.test',
    '-addext',
    'subjectAltName=DNS:bench.test,DNS:localhost,IP:127.0.0.1',
  ]
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'chain.pem')]
  execFileSync('openssl', ['req', '-x509', ...options, ...names, ...files], { stdio: 'ignore' })
  const pem = (file: string) => readFileSync(join(folder, file), 'utf8')
  writeFileSync(join(folder, 'both.pem'), pem('chain.pem') + pem('key.pem'))
}

async function startOurs({ folder, machine, echo }: Site, ports: Ports): Promise<Peer> {
  const file = join(folder, 'proxy.toml')
  writeFileSync(
    file,
    `
[[certificates]]
names = ["bench.test", "localhost", "127.0.0.1", ""]
chain_file = "${join(folder, 'chain.pem')}"
key_file = "${join(folder, 'key.pem')}"
[limits]
connections_per_address_max = 20000
tls_handshakes_per_second = 1000000
[[services]]
app = "bench"
ports = [{ port = ${ports.http}, handlers = ["http"] }, { port = ${ports.tls}, handlers = ["tls", "http"] }]
machines = [{ address = "127.0.0.1", port = ${machine} }]
[[services]]
app = "echo"
ports = [{ port = ${ports.ws}, handlers = ["http"] }]
machines = [{ address = "127.0.0.1", port = ${echo} }]
`,
  )
  const args = [
    '--disable-warning=ExperimentalWarning',
    'src/cli/main.ts',
    'proxy',
    'run',
    '-c',
    file,
  ]
  return startPeer('ours', process.execPath, args, ports)
}

function startHaproxy({ folder, machine, echo }: Site, ports: Ports): Promise<Peer> {
  const file = join(folder, 'haproxy.cfg')
  writeFileSync(
    file,
    `
global
  maxconn 12000
  no strict-limits
  nbthread 1
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout client 120s
  timeout server 120s
  timeout connect 5s
  timeout http-keep-alive 120s
  timeout tunnel 1h
  http-reuse always
  option forwardfor
frontend http
  bind 127.0.0.1:${ports.http}
  http-request set-header X-Forwarded-Proto http
  default_backend machine
frontend tls
  bind 127.0.0.1:${ports.tls} ssl crt ${join(folder, 'both.pem')} alpn h2,http/1.1
  http-request set-header X-Forwarded-Proto https
  default_backend machine
frontend ws
  bind 127.0.0.1:${ports.ws}
  default_backend echo
backend machine
  server machine 127.0.0.1:${machine}
backend echo
  server echo 127.0.0.1:${echo}
`,
  )
  return startPeer('haproxy', 'haproxy', ['-f', file, '-db', '-q'], ports)
}

function startNginx({ folder, machine, echo }: Site, ports: Ports): Promise<Peer> {
  const file = join(folder, 'nginx.conf')
  const forward = `
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;`
  writeFileSync(
    file,
    `
daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log crit;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 120s;
  client_body_temp_path ${folder}/n1; proxy_temp_path ${folder}/n2; fastcgi_temp_path ${folder}/n3; uwsgi_temp_path ${folder}/n4; scgi_temp_path ${folder}/n5;
  ssl_certificate ${folder}/chain.pem; ssl_certificate_key ${folder}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
  upstream machine { server 127.0.0.1:${machine}; keepalive 256; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${ports.http} backlog=4096; location / { proxy_pass http://machine; ${forward} } }
  server { listen 127.0.0.1:${ports.tls} ssl http2 backlog=4096; location / { proxy_pass http://machine; ${forward} } }
  server { listen 127.0.0.1:${ports.ws}; location / {
    proxy_pass http://127.0.0.1:${echo}; proxy_http_version 1.1; proxy_read_timeout 1h;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; } }
}
`,
  )
  return startPeer(
    'nginx',
    'nginx',
    ['-p', folder, '-c', file, '-e', join(folder, 'nginx.log')],
    ports,
  )
}

function startCaddy({ folder, machine, echo }: Site, ports: Ports): Promise<Peer> {
  const file = join(folder, 'Caddyfile')
  writeFileSync(
    file,
    `
{
  admin off
  auto_https off
  storage file_system ${folder}/caddy
}
http://:${ports.http} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${machine}
}
https://:${ports.tls} {
  bind 127.0.0.1
  tls ${folder}/chain.pem ${folder}/key.pem
  reverse_proxy 127.0.0.1:${machine}
}
http://:${ports.ws} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${echo}
}
`,
  )
  return startPeer('caddy', 'caddy', ['run', '--adapter', 'caddyfile', '--config', file], ports, {
    GOMAXPROCS: '1',
    HOME: folder,
  })
}

/** nginx as the machine: small answers, and files of 1 MB. */
export async function startMachine(folder: string, port: number): Promise<AsyncDisposable> {
  const file = join(folder, 'machine.conf')
  writeFileSync(join(folder, '1mb'), Buffer.alloc(1 << 20, 'x'))
  writeFileSync(
    file,
    `
daemon off; master_process off; worker_processes 1; pid ${folder}/machine.pid; error_log ${folder}/machine.log crit;
user root;
events { worker_connections 10000; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on; tcp_nopush on; open_file_cache max=10;
  client_body_temp_path ${folder}/m1; proxy_temp_path ${folder}/m2; fastcgi_temp_path ${folder}/m3; uwsgi_temp_path ${folder}/m4; scgi_temp_path ${folder}/m5;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /1mb { root ${folder}; }
    location / { return 200 "hello, world\\n"; }
  }
}
`,
  )
  const child = spawn('nginx', ['-p', folder, '-c', file, '-e', join(folder, 'machine.log')], {
    env: environment(),
    stdio: 'ignore',
  })
  await untilListening(port, child)
  return { [Symbol.asyncDispose]: () => stop(child) }
}

const environment = (extra: Record<string, string> = {}) => ({
  ...process.env,
  PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
  ...extra,
})

async function startPeer(
  name: Peer['name'],
  command: string,
  args: string[],
  ports: Ports,
  extra: Record<string, string> = {},
): Promise<Peer> {
  const child = spawn('taskset', ['-c', PROXY_CORE, command, ...args], {
    env: environment({ GODWIT_LOG: 'warn', ...extra }),
    stdio: 'ignore',
  })
  await untilListening(ports.http, child)
  await untilListening(ports.tls, child)
  const pid = child.pid ?? 0
  return {
    name,
    ...ports,
    cpuNs: () => cpuNs(pid),
    rssBytes: () =>
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024,
    [Symbol.asyncDispose]: () => stop(child),
  }
}

/** taskset becomes the command, so that all threads are the child's own. */
function cpuNs(pid: number): number {
  const folder = `/proc/${pid}/task`
  let sum = 0
  for (const task of readdirSync(folder))
    sum += Number(readFileSync(join(folder, task, 'schedstat'), 'utf8').split(' ')[0])
  return sum
}

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  await pollUntil(
    `port ${port}`,
    () => {
      if (child.exitCode !== null)
        throw new TypeError(`${child.spawnargs.join(' ')} ended with ${child.exitCode}`)
      return new Promise<boolean>((resolve) => {
        const socket = connect(port, '127.0.0.1')
        socket
          .once('error', () => resolve(false))
          .once('connect', () => {
            socket.destroy()
            resolve(true)
          })
      })
    },
    { deadlineMs: START_DEADLINE_MS },
  )
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
