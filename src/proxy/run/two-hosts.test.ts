import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import test from 'node:test'
import { pollUntil } from '#base'
import { ownMachines } from '../admin/debug-view.ts'
import { renderLoads, renderMetrics } from '../observe/metrics.ts'
import { answering, exchange, startMachine } from '../proxy.fixture.ts'
import { startTwoHosts } from './two-hosts.fixture.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const get = (more = '') => `GET / HTTP/1.1\r\nHost: a\r\n${more}\r\n`
const CLOSE = 'Connection: close\r\n'
const until = (what: string, look: () => boolean) => pollUntil(what, look, { deadlineMs: 60_000 })

test('a request goes to another host as it would to a machine here, and the machine learns of the client', async () => {
  const heads: string[] = []
  let connections = 0
  await using machine = await startMachine((socket) => {
    connections += 1
    answering((head) => {
      heads.push(head)
      return OK
    })(socket)
  })
  await using hosts = await startTwoHosts({ machine: machine.port })
  for (let count = 0; count < 3; count += 1) {
    assert.match(await exchange(hosts.port, get(CLOSE)), /^HTTP\/1.1 200 OK\r\n.*\r\n\r\nok$/s)
  }
  assert.match(heads[0] ?? '', /\r\nFly-Client-IP: 127\.0\.0\.1\r\n/)
  assert.equal(connections, 1, 'the worker keeps a connection that did a whole exchange')
  const [service] = hosts.worker.table.machine('m1')?.services ?? []
  await until('its end at the worker', () => service?.load === 0)
  const metrics = renderMetrics(hosts.serving.counters, 'ams')
  assert.match(
    metrics,
    /fly_app_http_responses_count{app="a",instance="m1",region="ams",status="200"} 3\n/,
  )
  assert.match(
    metrics,
    /fly_app_connect_time_seconds_count{app="a",instance="m1",region="ams"} 3\n/,
  )
  const own = renderLoads(ownMachines(hosts.worker.router), 'fra')
  assert.match(own, /fly_app_concurrency{app="a",instance="m1",region="fra"} 0\n/)
  assert.match(own, /fly_app_tcp_connects_count{app="a",instance="m1",region="fra"} 3\n/)
})

test('bodies of any size pass both ways, at the pace of who reads', async () => {
  const size = 3 << 20
  const body = randomBytes(size)
  const held: Buffer[] = []
  await using machine = await startMachine((socket) => {
    let left = size
    let isHead = true
    socket.on('data', (chunk: Buffer) => {
      const bytes = isHead ? chunk.subarray(chunk.indexOf('\r\n\r\n') + 4) : chunk
      isHead = false
      held.push(bytes)
      left -= bytes.length
      if (left > 0) return
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
      socket.write(body)
    })
  })
  await using hosts = await startTwoHosts({ machine: machine.port })
  const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n${CLOSE}\r\n`
  const client = connect({ port: hosts.port, host: '127.0.0.1' })
  client.write(head)
  client.write(body)
  const chunks: Buffer[] = []
  let count = 0
  for await (const chunk of client as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    count += 1
    if (count % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const answer = Buffer.concat(chunks)
  assert.ok(Buffer.concat(held).equals(body), 'the request')
  assert.ok(answer.subarray(answer.indexOf('\r\n\r\n') + 4).equals(body), 'the response')
})

test('a client that reads nothing stops the machine, and holds up nobody else', async () => {
  let written = 0
  await using machine = await startMachine((socket) => {
    socket.once('data', (chunk: Buffer) => {
      if (!chunk.includes('GET /large')) {
        socket.write(OK)
        return
      }
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      const pour = () => {
        let isTaken = true
        while (isTaken && written < 1 << 30) {
          isTaken = socket.write(Buffer.alloc(65_536))
          written += 65_536
        }
      }
      socket.on('drain', pour)
      pour()
    })
  })
  await using hosts = await startTwoHosts({ machine: machine.port })
  const slow = connect({ port: hosts.port, host: '127.0.0.1' })
  slow.pause()
  slow.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n')
  let before = -1
  await until('a stand-still', () => {
    const isStill = written === before && written > 0
    before = written
    return isStill
  })
  assert.ok(written < 64 << 20, `${written} bytes in kernels and windows`)
  assert.match(await exchange(hosts.port, get(CLOSE)), /^HTTP\/1.1 200/)
  slow.destroy()
})

test('an upgraded connection lives on over the backhaul, and each direction ends by itself', async () => {
  await using machine = await startMachine((socket) => {
    socket.once('data', () => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhi ',
      )
      socket.on('data', (chunk: Buffer) => socket.write(chunk))
      socket.once('end', () => socket.end('bye'))
    })
  })
  await using hosts = await startTwoHosts({ machine: machine.port })
  const client = connect({ port: hosts.port, host: '127.0.0.1', allowHalfOpen: true })
  let text = ''
  client.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  client.write(get('Connection: Upgrade\r\nUpgrade: x\r\n'))
  await until('the upgrade', () => text.endsWith('\r\n\r\nhi '))
  client.write('echo ')
  await until('the echo', () => text.endsWith('hi echo '))
  client.end()
  await until('its last words', () => text.endsWith('echo bye'))
  client.destroy()
})

const GOING_AWAY = Buffer.from('880203e9', 'hex')
const ANSWER = Buffer.from('8882000000000003e9', 'hex')
const WEB_SOCKET = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'

/** A machine that takes one WebSocket and keeps what it hears. */
const webSocketMachine = (heard: string[]) =>
  startMachine((socket) => {
    socket.once('data', () => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${WEB_SOCKET}\r\n`)
      socket.once('data', (chunk: Buffer) => heard.push(chunk.toString('hex')))
      socket.once('end', () => {
        heard.push('end')
        socket.end()
      })
    })
  })

test('a machine that its host stops of its own accord: WebSockets at other edges get a close frame first', async () => {
  const said: string[] = []
  await using machine = await webSocketMachine(said)
  const host = {
    suspend: async () => void said.push('suspend'),
    stop: async () => undefined,
    start: async () => undefined,
    machine: async () => ({ state: 'started' }),
  }
  await using hosts = await startTwoHosts({
    machine: machine.port,
    more: { service: { autostop: 'suspend' } },
    worker: { hostOf: () => host, autostop: { periodMs: 300, upMs: 0, settleMs: 0 } },
  })
  const client = connect({ port: hosts.port, host: '127.0.0.1' })
  let bytes = Buffer.alloc(0)
  client.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
  })
  client.write(get(WEB_SOCKET))
  await until('the upgrade', () => bytes.includes('\r\n\r\n'))
  // Another machine makes the one with the WebSocket needless.
  const { table } = hosts.worker
  const [service] = table.rows('services').values()
  table.put('services', { ...service, machine_id: 'm0', autostop: 'off' }, 0)
  table.put('machines', { ...table.rows('machines').get('m1'), id: 'm0' }, 0)
  await until('the close frame', () => bytes.subarray(-4).equals(GOING_AWAY))
  assert.equal(said.length, 0)
  client.write(ANSWER)
  client.end()
  await until('the suspension', () => said.includes('suspend'))
  assert.deepEqual(said, [ANSWER.toString('hex'), 'end', 'suspend'])
})

test('a proxy that ends: WebSockets of other edges get a close frame at its deadline', async () => {
  const heard: string[] = []
  await using machine = await webSocketMachine(heard)
  await using hosts = await startTwoHosts({ machine: machine.port })
  const client = connect({ port: hosts.port, host: '127.0.0.1' })
  let bytes = Buffer.alloc(0)
  client.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
  })
  client.write(get(WEB_SOCKET))
  await until('the upgrade', () => bytes.includes('\r\n\r\n'))
  hosts.worker.drain()
  const drained = hosts.worker.drained(50, 60_000)
  await until('the close frame', () => bytes.subarray(-4).equals(GOING_AWAY))
  client.write(ANSWER)
  client.end()
  await drained // by nothing but the end of all streams: nobody waits for the last deadline here
  await until('the answer', () => heard.length === 2)
  assert.deepEqual(heard, [ANSWER.toString('hex'), 'end'])
})

test('a client that goes away frees its machine on another host, and the limit there', async () => {
  let [asked, freed] = [0, 0]
  await using machine = await startMachine((socket) => {
    socket.once('data', () => {
      asked += 1
    })
    socket.once('close', () => {
      freed += 1
    })
  })
  await using hosts = await startTwoHosts({ machine: machine.port })
  const client = connect({ port: hosts.port, host: '127.0.0.1' })
  client.on('error', () => undefined)
  client.write(get())
  await until('the request', () => asked === 1)
  client.resetAndDestroy()
  await until('the end of it', () => freed === 1)
  const [service] = hosts.worker.table.machine('m1')?.services ?? []
  await until('no load', () => service?.load === 0)
  assert.equal(hosts.serving.counters.requestsActive, 0)
})

test('raw TCP: the machine gets the PROXY header with the client, then the bytes', async () => {
  await using machine = await startMachine((socket) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.once('end', () => socket.end(`<${text}>`))
  })
  await using hosts = await startTwoHosts({ machine: machine.port, handlers: ['proxy_proto'] })
  const answer = await exchange(hosts.port, 'bytes', { ends: true })
  assert.match(answer, /^<PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nbytes>$/)
})

test('a machine that refuses is tried again elsewhere, and a full one waits for room', async () => {
  await using own = await startMachine(answering(OK))
  await using gone = await startMachine(() => undefined)
  const { port } = gone
  await gone[Symbol.asyncDispose]()
  await using hosts = await startTwoHosts({ machine: port, ownMachine: own.port })
  const answer = await exchange(hosts.port, get(`fly-prefer-region: fra\r\n${CLOSE}`))
  assert.match(answer, /^HTTP\/1.1 200/)

  const waiting: Socket[] = []
  await using slow = await startMachine((socket) => socket.once('data', () => waiting.push(socket)))
  const service = { hard_limit: 1, soft_limit: 1 }
  await using full = await startTwoHosts({ machine: slow.port, more: { service } })
  const first = exchange(full.port, get(CLOSE))
  await until('the first', () => waiting.length === 1)
  const second = exchange(full.port, get(CLOSE))
  await until('the line', () => full.edge.router.core.waitingCount === 1)
  waiting[0]?.end(OK)
  assert.match(await first, /^HTTP\/1.1 200/)
  await until('the second', () => waiting.length === 2)
  waiting[1]?.end(OK)
  assert.match(await second, /^HTTP\/1.1 200/)
})

test('a host that is out of reach for a moment refuses nobody: who comes then waits', async () => {
  await using machine = await startMachine(answering(OK))
  await using hosts = await startTwoHosts({ machine: machine.port })
  hosts.edge.table.setReachable('h2', false)
  const answer = exchange(hosts.port, get(CLOSE))
  await until('the line', () => hosts.edge.router.core.waitingCount === 1)
  hosts.edge.table.setReachable('h2', true)
  assert.match(await answer, /^HTTP\/1.1 200/)
})

test('when the path to a host breaks, an idempotent request goes on elsewhere and another is told', async () => {
  const asked: string[] = []
  await using own = await startMachine(answering(OK))
  await using silent = await startMachine((socket) =>
    socket.on('data', (chunk: Buffer) => asked.push(chunk.toString('latin1').slice(0, 4))),
  )
  await using hosts = await startTwoHosts({ machine: silent.port, ownMachine: own.port })
  const far = `fly-prefer-region: fra\r\n${CLOSE}`
  const reading = exchange(hosts.port, get(far))
  const writing = exchange(
    hosts.port,
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n${far}\r\n`,
  )
  await until('both at the machine', () => asked.length === 2)
  await hosts.worker.close()
  assert.match(await reading, /^HTTP\/1.1 200/)
  assert.match(await writing, /^HTTP\/1.1 502/)
})
