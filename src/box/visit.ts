import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { startDeadline } from '#base'
import type { Web } from './raise-platform.ts'

const VISIT_MS = 5_000
const PAGE_CHARS_MAX = 64 << 10

/** What an app answers to a visitor of this machine, or why it does not. Over HTTPS. */
export async function visit({ port, caFile }: Web, name: string): Promise<string> {
  using deadline = startDeadline(`a visit of ${name}`, VISIT_MS)
  const { signal } = deadline
  const options = { host: '127.0.0.1', port, servername: name, ca: readFileSync(caFile), signal }
  return await new Promise<string>((resolve, reject) => {
    const asking = request({ ...options, headers: { host: name }, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => {
        text += piece
        if (text.length > PAGE_CHARS_MAX) response.destroy()
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve(text.trim())
        else reject(new Error(`it answers ${response.statusCode}`))
      })
    })
    asking.on('error', reject)
    asking.end()
  })
}
