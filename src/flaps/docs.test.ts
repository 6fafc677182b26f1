import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { promisify } from 'node:util'
import { FlapsWorld } from './fixture/flaps-world.ts'

const run = promisify(execFile)
const manual = readFileSync(join(import.meta.dirname, '../../docs/machines-api.md'), 'utf8')
const blocks = [...manual.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block)

test('every example of docs/machines-api.md works with curl, in order', async () => {
  await using world = await FlapsWorld.open()
  const [server] = world.servers
  assert(server !== undefined)
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  const env = {
    PATH: process.env['PATH'],
    API: address,
    TOKEN: world.orgToken(),
    LC_ALL: 'C.UTF-8',
  }
  const script = `set -eu -o pipefail\n${blocks.join('\n')}`
  const { stdout } = await run('bash', ['-c', script], { env, timeout: 60_000 })
  assert(blocks.length >= 9, 'the examples were not found')
  assert.match(stdout, /"previous_state":"stopped"/)
  assert.match(stdout, /"image":"nginx:1.28"/)
  assert(!stdout.includes('"error"'), stdout)
  const last = await world.call('GET', '/apps/my-app')
  assert.equal(last.status, 404, 'the last example has deleted the app')
})

test('every status of an error is in the manual', async () => {
  const { FlapsError } = await import('./errors.ts')
  const statuses = new Set(Object.values(FlapsError.catalogue).map(({ status }) => status))
  const missing = [...statuses].filter((status) => !manual.includes(`| ${status} |`))
  assert.deepEqual(missing, [])
})
