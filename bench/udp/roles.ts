/**
 * One process of UDP's benchmark, by its first argument: `edge` and `worker` are ours, `forwarder` and `echo` a bare
 * pair on node:dgram. Each says `ready`, and how much CPU it has used when it is asked.
 */
import { createSocket, type Socket } from 'node:dgram'
import { createLog, systemClock, systemRandom } from '#base'
import { Counters, Datagrams, EventLoop, echoWire, openDatagramSocket, RoutingTable } from '#proxy'

const SERVICE = '127.0.0.5'
const MESH = { edge: '127.0.0.1', worker: '127.0.0.2' } as const
const BUFFER_BYTES = 4 << 20
const [role, ...words] = process.argv.slice(2)
const [port = 0, meshPort = 0] = words.map(Number)

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuUs: user + system })
})
process.once('disconnect', () => process.exit())

/** The proxy's UDP of one of two hosts; the machine is the worker's, and echoes. */
function startOurs(own: keyof typeof MESH): void {
  const table = new RoutingTable({ ownHostId: own })
  for (const [id, backhaul_ip] of Object.entries(MESH)) {
    table.put('hosts', { id, region: id, state: 'ready', backhaul_ip, is_edge: 1 }, 0)
  }
  table.put('apps', { id: 'a', name: 'a', org_id: 'o', network_id: 1, status: 'deployed' }, 0)
  table.put('ips', { address: SERVICE, app_id: 'a', kind: 'v4', region: 'global' }, 0)
  const place = { id: 'm1', host_id: 'worker', app_id: 'a', region: 'worker', state: 'started' }
  table.put('machines', { ...place, private_ipv4: '172.19.0.2', standby_for: '[]' }, 0)
  const service = { machine_id: 'm1', protocol: 'udp', internal_port: port, app_id: 'a' }
  table.put('services', { ...service, ports: JSON.stringify([{ port }]), autostop: 'off' }, 0)
  const loop = new EventLoop((error) => {
    throw error
  })
  const datagrams = new Datagrams({
    ...{ loop, table, counters: new Counters(), clock: systemClock, random: systemRandom },
    log: createLog({ part: 'bench', level: 'fatal' }),
    mesh: { address: MESH[own], port: meshPort },
    openWire: echoWire,
  })
  if (own === 'edge') datagrams.listen(openDatagramSocket(SERVICE, port))
}

function bind(address: string, at: number): Socket {
  const socket = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES })
  return socket.bind(at, address)
}

/** As the least that a forwarder does: a socket for each client, by which answers find their way. */
function startForwarder(): void {
  const front = bind(SERVICE, port)
  const upstreams = new Map<number, Socket>()
  front.on('message', (bytes, client) => {
    const known = upstreams.get(client.port)
    if (known !== undefined) {
      known.send(bytes, meshPort, MESH.worker)
      return
    }
    const upstream = createSocket('udp4')
    upstreams.set(client.port, upstream)
    upstream.on('message', (answer) => front.send(answer, client.port, client.address))
    upstream.send(bytes, meshPort, MESH.worker)
  })
}

function startEcho(): void {
  const socket = bind(MESH.worker, meshPort)
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address))
}

if (role === 'edge' || role === 'worker') startOurs(role)
else if (role === 'forwarder') startForwarder()
else startEcho()
process.send?.('ready')
