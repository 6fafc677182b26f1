import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'node:test'
import { errorCode, systemClock, systemRandom } from '#base'
import {
  addThirdParty,
  type Caveat,
  exchangeUrl,
  fetchDischarges,
  mint,
  openVerifier,
  PERMISSION_LOCATION,
  parseBundle,
  printMacaroon,
  requireAuthorized,
  verifyBundle,
} from '#macaroon'
import { authService } from './auth-service.ts'

const key = Buffer.alloc(32, 1)
const sharedKey = Buffer.alloc(32, 2)
const world = { clock: systemClock, random: systemRandom }

/** The service on loopback; user 7 of organisation 1 is who says `Bearer seven`, or has its cookie. */
async function withService(work: (location: string) => Promise<void>): Promise<void> {
  let handle: ReturnType<typeof authService> | undefined
  const server = createServer((request, response) => void handle?.(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const location = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  handle = authService({
    location,
    sharedKey,
    login: ({ headers }) =>
      headers.authorization === 'Bearer seven' || headers.cookie === 'user=seven'
        ? { userId: 7, organizationIds: [1] }
        : undefined,
    ...world,
  })
  try {
    await work(location)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

function tokenFor(location: string, ticketCaveats: readonly Caveat[] = []) {
  const organization = { type: 'Organization', body: { id: 1, mask: 31 } } as const
  const bare = mint({
    key,
    kid: Buffer.of(1),
    location: PERMISSION_LOCATION,
    caveats: [organization],
  })
  return parseBundle(printMacaroon(addThirdParty(bare, { location, sharedKey, ticketCaveats })))
}

function allows(bundle: ReturnType<typeof parseBundle>): boolean {
  const verifier = openVerifier({ keyFor: () => key, clock: systemClock })
  const verified = verifyBundle(bundle, verifier)
  const access = { action: 1, orgId: 1 }
  return requireAuthorized(verified, [access], { nowMs: Date.now() }) !== undefined
}

test('who shows a login gets the discharge at once, and the token opens', async () => {
  await withService(async (location) => {
    const authorizationFor = (host: string) => (host === '127.0.0.1' ? 'Bearer seven' : undefined)
    const options = { deadlineMs: 5_000, authorizationFor, ...world }
    const confined: Caveat[] = [{ type: 'ConfineUser', body: { id: 7 } }]
    const { bundle, failures } = await fetchDischarges(tokenFor(location, confined), options)
    assert.deepEqual(failures, [])
    assert.equal(allows(bundle), true)
    const others: Caveat[] = [{ type: 'ConfineUser', body: { id: 8 } }]
    const refused = await fetchDischarges(tokenFor(location, others), options)
    assert.equal(errorCode(refused.failures[0]?.error), 'macaroon.third_party_refused')
    assert.throws(() => allows(refused.bundle))
  })
})

test('a user agrees on our own page only, and the client that polls gets the discharge', async () => {
  await withService(async (location) => {
    const opened: Promise<number[]>[] = []
    const agree = async (url: string) => {
      const visit = async (method: string, headers: Record<string, string>) => {
        const response = await fetch(url, { method, headers })
        await response.text()
        return response.status
      }
      const cookie = 'user=seven'
      return [
        await visit('GET', {}),
        await visit('GET', { cookie }),
        await visit('POST', { cookie }),
        await visit('POST', { cookie, origin: 'http://evil.test' }),
        await visit('POST', { origin: location }),
        await visit('POST', { cookie, origin: location }),
        await visit('POST', { cookie, origin: location }),
      ]
    }
    const { bundle, failures } = await fetchDischarges(tokenFor(location), {
      deadlineMs: 10_000,
      showUserUrl: (url) => void opened.push(agree(url)),
      ...world,
    })
    assert.deepEqual(failures, [])
    assert.equal(allows(bundle), true)
    assert.deepEqual(await opened[0], [401, 200, 403, 403, 401, 200, 404])
  })
})

test('without somebody to ask, an interactive third party is a failure that says so', async () => {
  await withService(async (location) => {
    const { failures } = await fetchDischarges(tokenFor(location), { deadlineMs: 5_000, ...world })
    assert.match(String(failures[0]?.error), /missing user-url callback/)
  })
})

test('hostile tickets and addresses are answered with an error, never with a discharge', async () => {
  await withService(async (location) => {
    const url = exchangeUrl(location)
    const headers = { authorization: 'Bearer seven' }
    for (const body of ['', '{', '[]', '{"ticket":1}', '{"ticket":"AAAA"}', 'x'.repeat(100_000)]) {
      const response = await fetch(url, { method: 'POST', headers, body })
      assert.ok(response.status >= 400, body.slice(0, 20))
      assert.deepEqual(Object.keys((await response.json()) as object), ['error'])
    }
    for (const path of ['', '/poll/00', '/user/00', '/nowhere']) {
      const response = await fetch(`${url}${path}`, { headers })
      await response.text()
      assert.equal(response.status, 404, path)
    }
  })
})
