import { request as httpRequest } from 'node:http'
import { errorCode } from '#base'
import { FlydError, type FlydErrorCode } from '../errors.ts'

const ANSWER_MS_MAX = 30_000

/** Asks the daemon of this host over its admin socket. @throws FlydError */
export async function askFlyd(
  socket: string,
  method: 'GET' | 'POST',
  path: string,
): Promise<unknown> {
  const { status, text } = await exchange(socket, method, path)
  if (status === 404) {
    throw new FlydError('flyd.not_found', { what: 'there is no such thing', values: { path } })
  }
  const body: unknown = JSON.parse(text)
  if (status === 200) return body
  const { code, what, error } = body as { code?: string; what?: string; error?: string }
  const known = code !== undefined && code in FlydError.catalogue ? code : 'flyd.state_bad'
  throw new FlydError(known as FlydErrorCode, { what: what ?? error ?? text })
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    const request = httpRequest({ socketPath, method, path, signal }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.once('error', reject)
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }),
      )
    })
    request.once('error', (cause) =>
      reject(
        new FlydError('flyd.host_unreached', {
          what: 'flyd does not answer on this host',
          values: { socket: socketPath, why: errorCode(cause) },
          fix: 'start it (godwit flyd run), or name its socket with --socket',
          cause,
        }),
      ),
    )
    request.end()
  })
}
