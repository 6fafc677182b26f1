import { createReadStream } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { errorCode, type Log } from '#base'
import { type Digest, ImageError, parseDigest } from '#image'
import { type ListeningServer, listening } from '../listening-server.ts'
import type { ImageDepot } from './image-depot.ts'

const PATH = /^\/v2\/([a-z0-9-]{1,63})\/(manifests|blobs)\/([a-z0-9]+:[0-9a-f]+)$/

/**
 * What hosts pull from: the reading half of the OCI distribution protocol, by digest alone. On the backhaul, which
 * is what keeps it from others. Source: OCI distribution-spec 1.1, "Pulling".
 */
export async function serveImages(
  depot: ImageDepot,
  { listen, log }: { listen: { host: string; port: number }; log: Log },
): Promise<ListeningServer> {
  const server = createServer((request, response) => {
    answer(depot, request, response).catch((err: unknown) => {
      if (errorCode(err) === 'ERR_STREAM_PREMATURE_CLOSE') return // the host went away
      log.error({ err, path: request.url }, 'an image could not be given out')
      if (!response.headersSent) response.writeHead(500)
      response.end()
    })
  })
  return await listening(server, listen, 'cut')
}

async function answer(depot: ImageDepot, request: IncomingMessage, response: ServerResponse) {
  const [, app = '', kind, text = ''] = PATH.exec(request.url ?? '') ?? []
  const digest = digestIn(text)
  if (digest === undefined || !['GET', 'HEAD'].includes(request.method ?? '')) {
    return void response.writeHead(404).end()
  }
  if (kind === 'manifests') {
    const found = await depot.manifest(app, digest)
    if (found === undefined) return void response.writeHead(404).end()
    const { bytes, type } = found
    response.writeHead(200, { 'content-type': type, 'content-length': bytes.length })
    return void response.end(request.method === 'HEAD' ? undefined : bytes)
  }
  const blob = await depot.blob(digest)
  if (blob === undefined) return void response.writeHead(404).end()
  const begin = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const isPart = begin > 0 && begin < blob.size
  const head = { 'content-type': 'application/octet-stream' }
  if (isPart) {
    const range = `bytes ${begin}-${blob.size - 1}/${blob.size}`
    const length = blob.size - begin
    response.writeHead(206, { ...head, 'content-range': range, 'content-length': length })
  } else response.writeHead(200, { ...head, 'content-length': blob.size })
  if (request.method === 'HEAD') return void response.end()
  await pipeline(createReadStream(blob.path, { start: isPart ? begin : 0 }), response)
}

function digestIn(text: string): Digest | undefined {
  try {
    return parseDigest(text)
  } catch (error) {
    if (error instanceof ImageError) return undefined
    throw error
  }
}
