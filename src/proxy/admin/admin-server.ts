import { renameSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { ProxyRouter } from '../router/router.ts'
import { explainRequest, machineLoads, topView } from './debug-view.ts'

export interface AdminServer {
  close(): Promise<void>
}

/**
 * The admin socket: HTTP on a Unix socket that its owner alone may open.
 *
 *   GET /debug?host=H&path=P&port=N   how a request would be decided; routing headers as `header=name:value`
 *   GET /top                          what goes on, busiest apps first
 *   GET /loads                        in flight at each machine of this host
 *   GET /healthz
 *
 * @throws what the system says of the path
 */
export async function serveAdmin(router: ProxyRouter, path: string): Promise<AdminServer> {
  const server = createServer((request, response) => answer(router, request, response))
  const mask = process.umask(0o177)
  try {
    // Under a name of its own first: a predecessor that closes removes its name, and not this one's.
    const draft = `${path}.${process.pid}`
    rmSync(draft, { force: true })
    await listen(server, draft)
    renameSync(draft, path) // also over that of a process that was killed
  } finally {
    process.umask(mask)
  }
  return {
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  })
}

function answer(router: ProxyRouter, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://proxy')
  const body = bodyOf(router, url)
  response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body ?? { error: 'no such view' })}\n`)
}

function bodyOf(router: ProxyRouter, { pathname, searchParams }: URL): object | undefined {
  if (pathname === '/healthz') return { ok: true, pid: process.pid }
  if (pathname === '/top') return topView(router)
  if (pathname === '/loads') return machineLoads(router)
  if (pathname !== '/debug') return undefined
  const headers = searchParams.getAll('header').map((header) => {
    const colon = header.indexOf(':')
    return [header.slice(0, colon).trim().toLowerCase(), header.slice(colon + 1).trim()]
  })
  return explainRequest(router, {
    host: searchParams.get('host') ?? '',
    path: searchParams.get('path') ?? '/',
    port: Number(searchParams.get('port') ?? 443),
    headers: Object.fromEntries(headers) as Record<string, string>,
  })
}
