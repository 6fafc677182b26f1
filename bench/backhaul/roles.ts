/**
 * One process of the backhaul's benchmark: `machine`, `worker` or `edge`, by its first argument. The worker serves
 * three ways at once, a port each; the edge sends requests through one of them. Asked over IPC, each says how much CPU it
 * has used.
 */
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createLog, systemClock, systemRandom } from '#base'
import { BackhaulDialer, BackhaulServer, RoutingTable } from '#proxy'

const REQUEST = Buffer.alloc(400, 'q')
const RESPONSE = Buffer.alloc(1_000, 'a')
const log = createLog({ part: 'bench', level: 'fatal' })
const [role, ...ports] = process.argv.slice(2)

process.on(
  'message',
  (message: { readonly ask: string; readonly way?: Way; readonly count?: number }) => {
    if (message.ask === 'cpu') {
      const { user, system } = process.cpuUsage()
      process.send?.({ cpuUs: user + system })
    } else if (message.ask === 'run') {
      void load(message.way as Way, message.count as number).then((ms) => process.send?.({ ms }))
    } else process.exit(0)
  },
)

export type Way = 'backhaul' | 'tcp' | 'http2'
const CONCURRENT = 64

/** Answers each whole request. A connection serves many. */
function serveMachine(socket: Socket): void {
  let bytes = 0
  socket.on('data', (chunk) => {
    bytes += chunk.length
    for (; bytes >= REQUEST.length; bytes -= REQUEST.length) socket.write(RESPONSE)
  })
  socket.on('error', () => socket.destroy())
}

async function listening(server: {
  listen(port: number, host: string, done: () => void): unknown
  address(): unknown
}) {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function startWorker(machinePort: number): Promise<void> {
  const table = new RoutingTable({ ownHostId: 'w' })
  table.put('hosts', { id: 'w', region: 'x', state: 'ready' }, 0)
  table.put('apps', { id: 'a', name: 'a' }, 0)
  table.put(
    'machines',
    {
      id: 'm',
      host_id: 'w',
      app_id: 'a',
      region: 'x',
      state: 'started',
      private_ipv4: '127.0.0.1',
    },
    0,
  )
  const row = { machine_id: 'm', protocol: 'tcp', internal_port: machinePort, app_id: 'a' }
  table.put('services', { ...row, ports: '[{"port":80}]', autostart: 1 }, 0)
  const service = [...(table.machine('m')?.services ?? [])][0]
  if (service === undefined) throw new Error('no service')
  const backhaul = new BackhaulServer({
    ownHostId: 'w',
    clock: systemClock,
    log,
    gate: {
      admit: (_facts, done) => {
        service.take()
        done({ kind: 'admitted', service })
        return undefined
      },
      release: () => service.release(),
    },
  })
  const tcp = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: machinePort, host: '127.0.0.1', noDelay: true })
    near.pipe(far).pipe(near)
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
  })
  const idle: Socket[] = []
  const http2 = createHttp2((request, response) => {
    const far = idle.pop() ?? connect({ port: machinePort, host: '127.0.0.1', noDelay: true })
    far.removeAllListeners('data')
    request.on('data', (chunk: Buffer) => far.write(chunk))
    let bytes = 0
    far.on('data', (chunk) => {
      bytes += chunk.length
      response.write(chunk)
      if (bytes < RESPONSE.length) return
      response.end()
      idle.push(far)
    })
  })
  const all = [await backhaul.listen(0, '127.0.0.1'), await listening(tcp), await listening(http2)]
  process.send?.({ ports: all })
}

async function load(way: Way, count: number): Promise<number> {
  const [backhaulPort = 0, tcpPort = 0, http2Port = 0, machinePort = 0] = ports.map(Number)
  const one = { backhaul: overBackhaul, tcp: overTcp, http2: overHttp2 }[way]
  const { send, close } = one(
    { backhaul: backhaulPort, tcp: tcpPort, http2: http2Port }[way],
    machinePort,
  )
  const startMs = performance.now()
  let left = count
  const chain = async () => {
    while (left > 0) {
      left -= 1
      await send()
    }
  }
  await Promise.all(Array.from({ length: CONCURRENT }, chain))
  const ms = performance.now() - startMs
  close()
  return ms
}

function overBackhaul(port: number, machinePort: number) {
  const dialer = new BackhaulDialer({
    ...{ ownHostId: 'e', port, clock: systemClock, random: systemRandom, log },
    reachable: () => undefined,
    measured: () => undefined,
    leaving: () => undefined,
  })
  const facts = {
    ...{ machine: 'm', internalPort: machinePort, publicPort: 80, isHttp: true },
    ...{ hasAlternatives: false, clientAddress: '198.51.100.1', clientPort: 50_000 },
    ...{ localAddress: '192.0.2.1', tlsVersion: 'TLSv1.3', serverName: 'a.test', alpn: 'http/1.1' },
    requestId: '01J3QTTJ0XDFVER4CMYHQEZGJF-ams',
  }
  const send = () =>
    new Promise<void>((resolve, reject) => {
      let bytes = 0
      const stream = dialer.open('w', '127.0.0.1', facts, {
        data(chunk) {
          bytes += chunk.length
          stream?.consumed(chunk.length)
          if (bytes < RESPONSE.length) return
          stream?.end(true)
          resolve()
        },
        ended: () => undefined,
        drained: () => undefined,
        reset: (reason) => reject(new Error(`reset ${reason}`)),
        refused: (code) => reject(new Error(`refused ${code}`)),
      })
      stream?.send(REQUEST)
    })
  return { send, close: () => dialer.close() }
}

/** The least that is possible: a connection of its own for each client, kept open, and piped. */
function overTcp(port: number, _machinePort: number) {
  const idle: Socket[] = []
  const send = () =>
    new Promise<void>((resolve, reject) => {
      const socket = idle.pop() ?? connect({ port, host: '127.0.0.1', noDelay: true })
      socket.removeAllListeners()
      let bytes = 0
      socket.on('error', reject)
      socket.on('data', (chunk) => {
        bytes += chunk.length
        if (bytes < RESPONSE.length) return
        idle.push(socket)
        resolve()
      })
      socket.write(REQUEST)
    })
  return { send, close: () => idle.map((socket) => socket.destroy()) }
}

function overHttp2(port: number, _machinePort: number) {
  const sessions = [0, 1].map(() => connectHttp2(`http://127.0.0.1:${port}`))
  let turn = 0
  const headers = {
    ':method': 'POST',
    ':path': '/m/8080',
    'x-client': '198.51.100.1',
    'x-port': '443',
  }
  const send = () =>
    new Promise<void>((resolve, reject) => {
      turn += 1
      const stream = (sessions[turn % 2] as (typeof sessions)[number]).request(headers)
      stream.on('data', () => undefined)
      stream.on('end', resolve)
      stream.on('error', reject)
      stream.end(REQUEST)
    })
  return { send, close: () => sessions.map((session) => session.destroy()) }
}

if (role === 'machine')
  process.send?.({ ports: [await listening(createServer({ noDelay: true }, serveMachine))] })
else if (role === 'worker') await startWorker(Number(ports[0]))
else process.send?.({ ports: [] })
