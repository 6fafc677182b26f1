import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { Command } from 'commander'

/** A machine as the API answers it. */
export const MACHINE = {
  id: '148ed599c14189',
  name: 'web-1',
  state: 'started',
  region: 'ams',
  instance_id: '01',
  private_ip: 'fdaa::1',
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
  image_ref: { registry: 'r', repository: 'library/nginx', tag: '1.27' },
  config: {
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 256 },
    metadata: { fly_process_group: 'app' },
  },
  checks: [{ name: 'up', status: 'passing', updated_at: '2026-01-01T00:00:00Z' }],
  host_status: 'ok',
}

/**
 * Runs a command against a server that answers calls from a table, by what they begin with, and gives what it asked.
 * An answer that has an `error` is a refusal: 412.
 */
export async function runAgainst(
  t: TestContext,
  make: (print: (text: string) => void) => Command,
  args: readonly string[],
  answers: Readonly<Record<string, unknown>> = {},
  asked: string[] = [],
) {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (piece) => {
      body += piece
    })
    request.on('end', () => {
      const call = `${request.method} ${request.url}`
      asked.push(body === '' ? call : `${call} ${body}`)
      const found = Object.entries(answers).find(([prefix]) => call.startsWith(prefix))
      const answer = found?.[1] ?? { error: 'not_found: x' }
      const isRefusal = typeof answer === 'object' && 'error' in answer
      response.writeHead(found === undefined ? 404 : isRefusal ? 412 : 200)
      response.end(JSON.stringify(answer))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  let printed = ''
  const command = make((text) => {
    printed += text
  })
  const where = ['--api', `http://127.0.0.1:${port}`, '--access-token', 'x']
  const [verb = '', ...rest] = args
  await command.parseAsync([verb, ...where, ...rest], { from: 'user' })
  return { printed, asked }
}

/** Path of machines of the app `web`. */
export const machinesOf = (id = '') => `/v1/apps/web/machines${id}`
