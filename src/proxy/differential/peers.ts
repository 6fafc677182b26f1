import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pollUntil } from '#base'

export interface Peer extends AsyncDisposable {
  readonly name: string
  /** A lane each: a port of its own, before a machine of its own. */
  readonly ports: readonly number[]
}

const START_DEADLINE_MS = 20_000

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return address.port
}

/** nginx as a reverse proxy before one machine, as strict as it comes. */
export const startNginx = (machines: readonly number[]): Promise<Peer> =>
  startPeer('nginx', machines.length, (folder, ports) => {
    const config = `
daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log crit;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
${machines.map((machine, lane) => nginxLane(machine, lane, ports[lane] ?? 0)).join('')}
}`
    writeFileSync(join(folder, 'nginx.conf'), config)
    return ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]
  })

/** HAProxy before one machine, as strict as it comes. */
export const startHaproxy = (machines: readonly number[]): Promise<Peer> =>
  startPeer('haproxy', machines.length, (folder, ports) => {
    const config = `
global
  maxconn 512
  nbthread 1
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
  http-reuse always
${machines.map((machine, lane) => haproxyLane(machine, lane, ports[lane] ?? 0)).join('')}`
    writeFileSync(join(folder, 'haproxy.cfg'), config)
    return ['-f', join(folder, 'haproxy.cfg'), '-db', '-q']
  })

const nginxLane = (machine: number, lane: number, port: number) => `
  upstream machine${lane} { server 127.0.0.1:${machine}; keepalive 8; }
  server {
    listen 127.0.0.1:${port}; lingering_close off;
    location / {
      proxy_pass http://machine${lane}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_request_buffering off; proxy_ignore_client_abort on;
    }
  }`

const haproxyLane = (machine: number, lane: number, port: number) => `
frontend front${lane}
  bind 127.0.0.1:${port}
  default_backend machines${lane}
backend machines${lane}
  server machine 127.0.0.1:${machine}
`

async function startPeer(
  name: string,
  lanes: number,
  configure: (folder: string, ports: readonly number[]) => string[],
): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), `godwit-${name}-`))
  const ports = await Promise.all(Array.from({ length: lanes }, () => freePort()))
  const child = spawn(name, configure(folder, ports), {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const exited = once(child, 'exit')
  await pollUntil(
    `starting ${name}`,
    () => {
      if (failure !== undefined) throw failure
      if (child.exitCode !== null) throw new TypeError(`${name} ended: ${said}`)
      return isListening(ports[0] ?? 0)
    },
    { deadlineMs: START_DEADLINE_MS },
  )
  return {
    name,
    ports,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
