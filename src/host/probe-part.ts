import { get } from 'node:http'
import { connect } from 'node:net'
import { MESH, ownAddress } from '#net6'
import type { PartProbe } from './part.ts'

const HEALTH_CHARS_MAX = 10_000

/** Resolves when the part serves; rejects with why it does not. */
export function probePart(probe: PartProbe, signal: AbortSignal, pid: number): Promise<void> {
  if (probe.kind === 'http') return answersOk(probe.url, signal)
  if (probe.kind === 'tcp') return accepts({ host: probe.host, port: probe.port }, signal)
  if (probe.kind === 'mesh') return acceptsOnMesh(probe, signal)
  if (probe.kind === 'own') return answersItself(probe.path, pid, signal)
  return accepts({ path: probe.path }, signal)
}

function answersOk(url: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { signal, agent: false }, (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new Error(`it answers ${response.statusCode}`))
    })
    request.on('error', reject)
  })
}

async function answersItself(socketPath: string, pid: number, signal: AbortSignal): Promise<void> {
  const body = await new Promise<string>((resolve, reject) => {
    const request = get({ socketPath, path: '/healthz', signal, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
        if (text.length > HEALTH_CHARS_MAX) response.destroy(new Error('it says too much'))
      })
      response.on('end', () => resolve(text)).on('error', reject)
    })
    request.on('error', reject)
  })
  const said = JSON.parse(body) as { pid?: unknown }
  if (said.pid !== pid) throw new Error(`process ${said.pid} answers, not ${pid}`)
}

async function acceptsOnMesh(
  { folder, port }: { folder: string; port: number },
  signal: AbortSignal,
): Promise<void> {
  const { address } = await ownAddress(MESH, { folder, signal })
  await accepts({ host: address, port }, signal)
}

function accepts(where: { host: string; port: number } | { path: string }, signal: AbortSignal) {
  return new Promise<void>((resolve, reject) => {
    const socket = connect({ ...where, signal })
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}
