import { request } from 'node:http'
import { errorCode, startDeadline } from '#base'
import { ProxyError } from '../errors.ts'
import type { ExplainAnswer, ExplainQuestion, MachineLoad, TopView } from './debug-view.ts'

const ANSWER_MS = 10_000
const ANSWER_BYTES_MAX = 64 << 20

/** @throws ProxyError proxy.admin_away; BaseError base.deadline_exceeded */
export const askTop = (socketPath: string): Promise<TopView> =>
  ask(socketPath, '/top') as Promise<TopView>

/** The same. */
export const askLoads = (socketPath: string): Promise<readonly MachineLoad[]> =>
  ask(socketPath, '/loads') as Promise<readonly MachineLoad[]>

/** The same. */
export function askExplain(socketPath: string, question: ExplainQuestion): Promise<ExplainAnswer> {
  const query = new URLSearchParams({
    host: question.host,
    path: question.path,
    port: String(question.port),
  })
  for (const [name, value] of Object.entries(question.headers)) {
    query.append('header', `${name}:${value}`)
  }
  return ask(socketPath, `/debug?${query}`) as Promise<ExplainAnswer>
}

async function ask(socketPath: string, path: string): Promise<unknown> {
  using deadline = startDeadline('the answer of the proxy', ANSWER_MS)
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(deadline.signal.aborted ? deadline.signal.reason : away(socketPath, cause))
    // A connection that is kept leads to a process that may have been replaced meanwhile.
    const options = { socketPath, path, signal: deadline.signal, agent: false }
    const asked = request(options, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
        if (body.length > ANSWER_BYTES_MAX) asked.destroy(new Error('the answer has no end'))
      })
      response.on('error', fail)
      response.on('end', () => {
        try {
          resolve(JSON.parse(body))
        } catch (error) {
          fail(error)
        }
      })
    })
    asked.on('error', fail)
    asked.end()
  })
}

const away = (path: string, cause: unknown) =>
  new ProxyError('proxy.admin_away', {
    what: 'no proxy answers on the admin socket',
    values: { path, why: errorCode(cause) ?? String(cause) },
    fix: 'start the proxy, or name its socket with --admin',
    cause,
  })
