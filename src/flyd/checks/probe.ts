import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { errorCode } from '#base'
import type { ProbeResult } from './check-course.ts'
import type { HttpProbeSpec, ProbeSpec } from './check-spec.ts'

/** How probes reach a machine. */
export interface ProbeTarget {
  /** The machine's own addresses as this host reaches them, in the order in which they are tried. */
  readonly addresses: readonly string[]
  /** Runs a command in it. */
  exec(
    command: readonly string[],
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number; readonly output: string }>
}

/** Of a body or an output so much is kept. */
export const OUTPUT_BYTES_MAX = 4_096

/** Probes once. Never rejects: what goes wrong is the result. `signal` is the time-out. */
export async function probe(
  spec: ProbeSpec,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    if (spec.type === 'tcp') return await probeTcp(spec.port, target, signal)
    if (spec.type === 'http') return await probeHttp(spec, target, signal)
    return await probeScript(spec.command, target, signal)
  } catch (error) {
    return { status: 'critical', output: boundedOutput(reasonOf(error, signal)) }
  }
}

async function probeTcp(port: number, target: ProbeTarget, signal: AbortSignal) {
  const socket = await dial(target.addresses, port, signal)
  socket.destroy()
  return { status: 'passing', output: 'Success' } as const
}

async function probeHttp(
  spec: HttpProbeSpec,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const tcp = await dial(target.addresses, spec.port, signal)
  try {
    const socket = spec.isTls ? await startTls(tcp, spec, signal) : tcp
    const response = await exchange(socket, spec, target.addresses[0] ?? '', signal)
    const body = await headOf(response)
    const status = response.statusCode ?? 0
    // No redirect is followed: what answers with one does not serve here.
    if (status >= 200 && status < 300) return { status: 'passing', output: boundedOutput(body) }
    return { status: 'critical', output: boundedOutput(`HTTP ${status}: ${body}`) }
  } finally {
    tcp.destroy()
  }
}

/** 0 passes and 1 warns; all else, and what cannot be run, is critical. */
async function probeScript(
  command: readonly string[],
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { exitCode, output } = await target.exec(command, signal)
  const status = exitCode === 0 ? 'passing' : exitCode === 1 ? 'warning' : 'critical'
  return { status, output: boundedOutput(output || `exit code ${exitCode}`) }
}

/** The first address that takes the connection. @throws what the last one said */
async function dial(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  let last: unknown = new Error('the machine has no address')
  for (const address of addresses) {
    try {
      return await dialOne(address, port, signal)
    } catch (error) {
      signal.throwIfAborted()
      last = error
    }
  }
  throw last
}

function dialOne(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  return untilEvent(connectTcp({ host: address, port, signal }), 'connect')
}

function startTls(
  tcp: Socket,
  { skipsVerification, serverName }: HttpProbeSpec,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connectTls({
    socket: tcp,
    rejectUnauthorized: !skipsVerification,
    ...(serverName === undefined ? {} : { servername: serverName }),
  })
  signal.addEventListener('abort', () => socket.destroy(signal.reason as Error), { once: true })
  return untilEvent(socket, 'secureConnect')
}

function untilEvent<S extends Socket>(socket: S, event: string): Promise<S> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve(socket))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('connection closed')))
  })
}

function exchange(
  socket: Socket,
  { method, path, headers, serverName, port }: HttpProbeSpec,
  address: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const host = address.includes(':') ? `[${address}]` : address
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => socket,
      host: serverName ?? host,
      port,
      method,
      path,
      headers: {
        'user-agent': 'Godwit-HealthCheck/1',
        connection: 'close',
        ...Object.fromEntries(headers.map(({ name, values }) => [name.toLowerCase(), [...values]])),
      },
      signal,
    })
    request.once('response', resolve)
    request.once('error', reject)
    request.end()
  })
}

/** The head of the body: the rest is not read. */
async function headOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part)
    bytes += part.length
    if (bytes >= OUTPUT_BYTES_MAX) break
  }
  return Buffer.concat(parts).toString()
}

/** Text of at most OUTPUT_BYTES_MAX bytes, without what would break a terminal. */
export function boundedOutput(text: string): string {
  const plain = text.replace(/[\x00-\x08\x0b-\x1f\x7f]/g, '')
  const bytes = Buffer.from(plain.toWellFormed())
  if (bytes.length <= OUTPUT_BYTES_MAX) return bytes.toString()
  let end = OUTPUT_BYTES_MAX
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1 // not within a character
  return bytes.subarray(0, end).toString()
}

function reasonOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'context deadline exceeded'
  if (errorCode(error) === 'ECONNREFUSED') return 'connect: connection refused'
  return error instanceof Error ? error.message : String(error)
}
