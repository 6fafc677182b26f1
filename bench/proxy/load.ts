import { execFile } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { promisify } from 'node:util'

const run = promisify(execFile)
const LOAD_CORE = '1'

/** What one burst of load did. */
export interface Load {
  readonly requests: number
  readonly bytes: number
  readonly seconds: number
}

/** wrk on the other core: as many requests as it gets answered. */
export async function wrk(
  url: string,
  options: { seconds: number; connections: number; headers?: readonly string[] },
): Promise<Load> {
  const headers = (options.headers ?? []).flatMap((header) => ['-H', header])
  const args = [
    '-c',
    LOAD_CORE,
    'wrk',
    '-t1',
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    ...headers,
    url,
  ]
  const { stdout } = await run('taskset', args, { timeout: 60_000 })
  const failed = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0)
  const [, requests, seconds, size, unit] =
    /(\d+) requests in ([\d.]+)s, ([\d.]+)([KMG]?)B read/.exec(stdout) ?? []
  if (requests === undefined || failed > 0) throw new TypeError(`wrk: ${stdout}`)
  const scale = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[unit ?? ''] ?? 1
  return { requests: Number(requests), bytes: Number(size) * scale, seconds: Number(seconds) }
}

/** h2load on the other core: 8 connections of 16 streams each. */
export async function h2load(url: string, seconds: number): Promise<Load> {
  const args = ['-c', LOAD_CORE, 'h2load', '-t1', '-c8', '-m16', `-D${seconds}`, url]
  const { stdout } = await run('taskset', args, { timeout: 60_000 })
  const requests = Number(
    /requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded/.exec(stdout)?.[1],
  )
  const failed = Number(/(\d+) failed, /.exec(stdout)?.[1])
  if (!(requests > 0) || failed > 0) throw new TypeError(`h2load: ${stdout}`)
  return { requests, bytes: 0, seconds }
}

const UPGRADE =
  'GET /ws HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'
/** A masked binary frame of 32 octets (RFC 6455, section 5.2); the echo gives it back as it is. */
const FRAME = Buffer.concat([Buffer.from('82a001020304', 'hex'), Buffer.alloc(32, 'm')])

/** Messages that go round over WebSockets, one under way on each. */
export async function webSockets(
  port: number,
  options: { milliseconds: number; connections: number },
): Promise<Load> {
  const sockets: Socket[] = []
  let requests = 0
  let isOver = false
  for (let index = 0; index < options.connections; index += 1) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    sockets.push(socket)
    await new Promise<void>((resolve, reject) => {
      let head = ''
      let isOpen = false
      let held = 0
      socket.once('error', reject)
      socket.once('connect', () => socket.write(UPGRADE))
      socket.on('data', (chunk: Buffer) => {
        if (!isOpen) {
          head += chunk.toString('latin1')
          if (!head.includes('\r\n\r\n')) return
          isOpen = true
          if (!head.startsWith('HTTP/1.1 101')) reject(new TypeError(head))
          resolve()
          return
        }
        held += chunk.length
        for (; held >= FRAME.length; held -= FRAME.length) {
          requests += 1
          if (!isOver) socket.write(FRAME)
        }
      })
    })
  }
  requests = 0
  const startedMs = performance.now()
  for (const socket of sockets) socket.write(FRAME)
  await new Promise((resolve) => setTimeout(resolve, options.milliseconds))
  isOver = true
  const seconds = (performance.now() - startedMs) / 1000
  for (const socket of sockets) socket.destroy()
  return { requests, bytes: 0, seconds }
}

const REQUEST = Buffer.from('GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n')

/**
 * Requests at a fixed rate, whatever the answers do: latencies in microseconds from the moment when each was
 * due. An answer is one read here: it is small.
 */
export async function paced(
  port: number,
  options: { perSecond: number; milliseconds: number; connections: number },
): Promise<number[]> {
  const { perSecond, milliseconds, connections } = options
  const idle: { socket: Socket; dueMs: number }[] = []
  const latencies: number[] = []
  const sockets = Array.from({ length: connections }, () =>
    connect({ port, host: '127.0.0.1', noDelay: true }),
  )
  for (const socket of sockets) {
    const one = { socket, dueMs: 0 }
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    idle.push(one)
    socket.on('data', () => {
      latencies.push((performance.now() - one.dueMs) * 1000)
      idle.push(one)
    })
  }
  const startMs = performance.now()
  const total = Math.floor((perSecond * milliseconds) / 1000)
  let sent = 0
  await new Promise<void>((resolve) => {
    const turn = () => {
      const elapsedMs = performance.now() - startMs
      while (sent < total && (sent * 1000) / perSecond <= elapsedMs) {
        const one = idle.shift()
        if (one === undefined) break
        one.dueMs = startMs + (sent * 1000) / perSecond
        one.socket.write(REQUEST)
        sent += 1
      }
      if (latencies.length >= total || elapsedMs > milliseconds * 4) resolve()
      else setImmediate(turn)
    }
    turn()
  })
  for (const socket of sockets) socket.destroy()
  return latencies
}

/** Connections that stay open without a word after one request each. */
export async function openIdle(
  port: number,
  count: number,
): Promise<Disposable & { readonly open: number }> {
  const sockets: Socket[] = []
  const openOne = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1' })
      sockets.push(socket)
      socket.once('connect', () => socket.write(REQUEST)).once('error', reject)
      socket.once('data', () => resolve())
    })
  for (let index = 0; index < count; index += 100) {
    await Promise.all(Array.from({ length: Math.min(100, count - index) }, openOne))
  }
  return {
    open: sockets.length,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
    },
  }
}
