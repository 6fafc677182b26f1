import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isConnectionSpoilt, readAnswer } from './api-answer.ts'
import { type ApiCall, encodeCall, routeOf } from './api-call.ts'

const FIXTURES = join(import.meta.dirname, '../../../test/fixtures/firecracker')
const files = ['preboot', 'postboot', 'snapshot-create', 'snapshot-load', 'hotplug-pci']

interface Exchange {
  readonly method: string
  readonly path: string
  readonly body: unknown
  readonly status: number | null
  readonly response: unknown
}

const exchanges: Exchange[] = files.flatMap(
  (name) => JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8')).exchanges,
)

/** What the program takes and we refuse, on purpose. */
const stricter: readonly RegExp[] = [
  /"guest_cid":2,/,
  /"vsock_id"/,
  /"cpu_template"/,
  /"mem_file_path":"[^"]*"(,"resume_vm":\w+)?}$/, // of snapshot/load: deprecated
]

/** The recorder wrote very long texts as "(a x 2047)". */
const unfold = (text: string) =>
  text.replace(/\((\w) x (\d+)\)/g, (_, letter: string, count: string) =>
    letter.repeat(Number(count)),
  )

function isTaken(exchange: Exchange): boolean {
  try {
    encodeCall({ ...exchange, body: JSON.parse(unfold(JSON.stringify(exchange.body))) } as ApiCall)
    return true
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'guest.vmm_call_bad')
    return false
  }
}

const withBody = exchanges.filter(
  ({ method, path, body }) =>
    body !== null && typeof body === 'object' && routeOf(method, path) !== undefined,
)

test('every recorded request that Firecracker took passes our schemas, except what we refuse on purpose', () => {
  const taken = withBody.filter(({ status }) => status === 204)
  assert(taken.length > 90, `${taken.length} recorded`)
  for (const exchange of taken) {
    const shown = JSON.stringify(exchange.body)
    const isStricter = stricter.some((pattern) => pattern.test(shown))
    if (!isTaken(exchange)) assert(isStricter, `${exchange.method} ${exchange.path} ${shown}`)
  }
})

test('every body that Firecracker could not read is refused before it is sent', () => {
  const unread = withBody.filter((one) =>
    /deserializing|does not match the id|Empty PATCH|Invalid cmdline capacity|alphanumeric/.test(
      JSON.stringify(one.response),
    ),
  )
  assert(unread.length > 40, `${unread.length} recorded`)
  for (const exchange of unread) {
    assert(!isTaken(exchange), `${exchange.method} ${exchange.path} ${JSON.stringify(exchange)}`)
  }
})

test('every recorded answer is read as a value, as nothing, or as a typed refusal in its own words', () => {
  for (const { method, path, status, response } of exchanges) {
    if (status === null) continue
    const body =
      response === null ? '' : typeof response === 'string' ? response : JSON.stringify(response)
    const call = { method, path } as ApiCall
    if (status < 300) {
      assert.deepEqual(readAnswer(call, status, body), response ?? undefined)
      continue
    }
    const said = (response as { fault_message?: string }).fault_message ?? body
    assert.throws(
      () => readAnswer(call, status, body),
      (error: { code: string; values: { said: string } }) => {
        assert.equal(error.code, 'guest.vmm_refused')
        assert.equal(error.values.said, said)
        return true
      },
    )
    assert.equal(isConnectionSpoilt(status, body), typeof response === 'string')
  }
})

test('a GET with a body, an unknown path and a body beyond the limit are never sent', () => {
  const bad = { code: 'guest.vmm_call_bad' }
  assert.throws(() => encodeCall({ method: 'GET', path: '/', body: {} }), bad)
  assert.throws(() => encodeCall({ method: 'PUT', path: '/nosuch', body: {} }), bad)
  const path_on_host = 'x'.repeat(60_000)
  const body = { drive_id: 'a', is_root_device: false, path_on_host }
  assert.throws(() => encodeCall({ method: 'PUT', path: '/drives/a', body }), bad)
})

test('an answer that is none of the API is told apart from a refusal', () => {
  const call: ApiCall = { method: 'GET', path: '/' }
  for (const [status, body] of [
    [200, '{'],
    [500, ''],
    [301, '{}'],
  ] as const) {
    assert.throws(() => readAnswer(call, status, body), { code: 'guest.vmm_answer_bad' })
  }
})
