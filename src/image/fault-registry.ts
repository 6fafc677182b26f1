import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { digestOf } from './digest.ts'

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

/**
 * A registry on loopback that fails as it is told: `script(path)` gives the answer of a request, or
 * undefined for an honest one. For tests.
 */
export async function startFaultRegistry(
  script: (path: string, asked: number) => Answer | undefined,
) {
  const contents = new Map<string, { bytes: Buffer; type: string }>()
  const counts = new Map<string, number>()
  const requests: { path: string; range: string | undefined; authorization: string | undefined }[] =
    []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    const { range, authorization } = request.headers
    requests.push({ path, range, authorization })
    const asked = counts.get(path) ?? 0
    counts.set(path, asked + 1)
    const scripted = script(path, asked)
    if (scripted !== undefined) return scripted(request, response)
    return answerHonestly(contents.get(path), range, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    requests,
    putBlob: (name: string, bytes: Buffer) => {
      const digest = digestOf(bytes)
      contents.set(`/v2/${name}/blobs/${digest}`, { bytes, type: 'application/octet-stream' })
      return { digest, size: bytes.length }
    },
    putManifest: (name: string, tag: string, document: object & { mediaType: string }) => {
      const bytes = Buffer.from(JSON.stringify(document))
      const entry = { bytes, type: document.mediaType }
      contents.set(`/v2/${name}/manifests/${tag}`, entry)
      contents.set(`/v2/${name}/manifests/${digestOf(bytes)}`, entry)
      return digestOf(bytes)
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function answerHonestly(
  found: { bytes: Buffer; type: string } | undefined,
  range: string | undefined,
  response: ServerResponse,
) {
  if (found === undefined) return response.writeHead(404).end()
  const { bytes, type } = found
  const start = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0)
  const headers = { 'content-type': type, 'content-length': bytes.length - start }
  const part = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }
  response.writeHead(start > 0 ? 206 : 200, start > 0 ? { ...headers, ...part } : headers)
  return response.end(bytes.subarray(start))
}
