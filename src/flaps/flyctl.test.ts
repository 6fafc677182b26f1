import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { birds } from './fixture/memory-directory.ts'

/**
 * What flyctl sent to a server that satisfied it, sent here again: the answer must have the status and
 * every field of the recorded one, with the same JSON type. More fields are fine.
 */
interface Exchange {
  readonly from: string
  readonly request: {
    readonly method: string
    readonly path: string
    readonly body: unknown
    readonly headers?: Readonly<Record<string, string>>
  }
  readonly response: { readonly status: number; readonly body: unknown }
}

const file = join(import.meta.dirname, '../../test/fixtures/flyctl/machines-api.json')
const exchanges: readonly Exchange[] = JSON.parse(readFileSync(file, 'utf8'))

/** Keys whose recorded case is another than ours, which Go does not mind. */
const lowerCased: Readonly<Record<string, string>> = {
  Regions: 'regions',
  Nearest: 'nearest',
  Region: 'region',
  Count: 'count',
  Concurrency: 'concurrency',
}

/** What hosts say of volumes from their disks; tested with them. */
const hostsOwn: ReadonlySet<string> = new Set([
  '.blocks',
  '.block_size',
  '.blocks_free',
  '.blocks_avail',
  '.bytes_used',
  '.bytes_total',
  '.host_dedication_id',
  '.host_dedication_key',
  '.host_features',
  '.required_host_features',
  '.type',
])

exchanges.forEach((exchange, index) => {
  const { request, response, from } = exchange
  test(`${from} (${index}): ${request.method} ${request.path} is answered in the recorded shape`, async () => {
    await using world = await FlapsWorld.open()
    const { path, headers, body } = await prepare(world, exchange)
    const reply = await world.call(request.method, path, { body, headers })
    assert.equal(reply.status, response.status, JSON.stringify(reply.body))
    compareShapes(withoutNothing(response.body), reply.body, '')
  })
})

/** Brings the world to where the client had its server, and puts our ids for the recorded ones. */
async function prepare(world: FlapsWorld, { request, response }: Exchange) {
  const app = /^\/v1\/apps\/([a-z0-9-]+)/.exec(request.path)?.[1]
  const isUnknown = response.status === 404 && /^\/v1\/apps\/[^/]+$/.test(request.path)
  if (app !== undefined && !isUnknown) {
    world.directory.addApp({ name: app, organization: birds, numericId: 3001 })
  }
  let path = request.path.replace('/v1', '')
  const headers: Record<string, string> = {}
  const isFull = !Array.isArray(response.body) || response.body.length > 0
  if (isFull && app !== undefined && /\/machines(\/[0-9a-f]{14}|$|\?)/.test(path) && !isUnknown) {
    if (request.method !== 'POST' || !path.endsWith('/machines')) {
      const { body } = await world.call('POST', `/apps/${app}/machines`, {
        body: {
          name: (request.body as { name?: string } | null)?.name,
          config: { image: 'nginx', guest },
          lease_ttl: request.headers ? 60 : 0,
        },
      })
      if (request.headers !== undefined) headers['fly-machine-lease-nonce'] = body.nonce
      path = path.replace(/[0-9a-f]{14}/, body.id)
      const stops = path.endsWith('/start') || /state=stopped|kill=false/.test(path)
      if (stops) await world.call('POST', `/apps/${app}/machines/${body.id}/stop`, { headers })
      if (path.includes('state=destroyed')) {
        await world.call('DELETE', `/apps/${app}/machines/${body.id}?force=true`, { headers })
      }
    }
  }
  if (isFull && app !== undefined && /\/volumes(\/|$)/.test(path) && request.method !== 'POST') {
    const { body } = await world.call('POST', `/apps/${app}/volumes`, {
      body: { name: 'nest', size_gb: 1 },
    })
    path = path.replace(/vol_[0-9a-z]+/, body.id)
  }
  let body: unknown = request.body ?? undefined
  const mounted = /vol_[0-9a-z]+/.exec(JSON.stringify(body) ?? '')?.[0]
  if (mounted !== undefined) {
    const volume = await world.call('POST', `/apps/${app}/volumes`, { body: { name: 'data' } })
    body = JSON.parse(JSON.stringify(body).replaceAll(mounted, volume.body.id))
  }
  return { path, headers, body }
}

const guest = { cpu_kind: 'shared', cpus: 1, memory_mb: 256 }

/** That server said `unknown` where no documented label fits; here there is none then, and no empty object. */
function withoutNothing(body: unknown): unknown {
  if (typeof body !== 'object' || body === null) return body ?? ''
  if (Array.isArray(body)) return body
  const { status, ...rest } = body as { status?: unknown }
  if (Object.keys(body).length === 0) return ''
  return 'error' in rest && status === 'unknown' ? rest : body
}

/** `at` is a path of keys, without indexes. */
function compareShapes(recorded: unknown, ours: unknown, at: string): void {
  if (recorded === null) return
  assert.equal(kindOf(ours), kindOf(recorded), `${at || 'the answer'}: ${JSON.stringify(ours)}`)
  if (Array.isArray(recorded)) {
    if (recorded.length === 0) return
    const [first] = ours as unknown[]
    if (first !== undefined) compareShapes(recorded[0], first, at)
    return
  }
  if (typeof recorded !== 'object') return
  if (isFreeMap(at)) return
  for (const [key, value] of Object.entries(recorded as object)) {
    const name = lowerCased[key] ?? key
    if (hostsOwn.has(`${at.replace('.volume', '')}.${name}`)) continue
    assert(Object.hasOwn(ours as object, name), `${at}.${name} is missing`)
    compareShapes(value, (ours as Record<string, unknown>)[name], `${at}.${name}`)
  }
}

/** What the client sent comes back as it was: the tests of configurations look at it. */
const isFreeMap = (at: string) => at.endsWith('.config') || at.endsWith('.events')

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return value === null ? 'null' : typeof value
}
