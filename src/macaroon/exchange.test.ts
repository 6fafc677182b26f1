import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { mint } from './chain.ts'
import { MacaroonError } from './errors.ts'
import {
  type ExchangeAnswer,
  exchangeUrl,
  parsePollReply,
  parseTicketReply,
  parseTicketRequest,
  pollUrl,
  printPollReply,
  printTicketReply,
  printTicketRequest,
  withReturnTo,
} from './exchange.ts'
import { printMacaroon } from './macaroon.ts'
import { PendingDischarges } from './pending-discharges.ts'

const discharge = mint({ key: Buffer.of(1), kid: Buffer.of(2), location: 'auth', isProof: true })
const token = printMacaroon(discharge)

const code = (expected: string) => (error: unknown) =>
  error instanceof MacaroonError && error.code === expected

test('addresses have one slash between location and path', () => {
  const path = '/.well-known/macfly/3p'
  assert.equal(exchangeUrl('https://auth.fly.io'), `https://auth.fly.io${path}`)
  assert.equal(exchangeUrl('https://auth.fly.io/'), `https://auth.fly.io${path}`)
  assert.equal(pollUrl('https://a/b', 'ff'), `https://a/b${path}/poll/ff`)
  assert.equal(
    withReturnTo('https://a/login?x=1', 'https://b/?c=d'),
    'https://a/login?x=1&return_to=https%3A%2F%2Fb%2F%3Fc%3Dd',
  )
  assert.throws(() => withReturnTo('nowhere', 'x'), code('macaroon.bad_exchange'))
})

test('a ticket survives its request, and damaged requests are refused', () => {
  const ticket = Buffer.from('a sealed ticket')
  assert.deepEqual(parseTicketRequest(printTicketRequest(ticket)), ticket)
  for (const body of [
    '',
    '{}',
    '[]',
    '{"ticket":""}',
    '{"ticket":"-_-_"}',
    '{"ticket":"YQ"}',
    '{"ticket":1}',
  ]) {
    assert.throws(() => parseTicketRequest(body), code('macaroon.bad_exchange'), body)
  }
})

test('every answer to a ticket is read as what it was', () => {
  const answers: ExchangeAnswer[] = [
    { type: 'discharge', discharge },
    { type: 'poll', pollUrl: 'https://a/p' },
    { type: 'interactive', userUrl: 'https://a/u', pollUrl: 'https://a/p' },
  ]
  for (const answer of answers) {
    const reply = printTicketReply(answer)
    assert.equal(reply.status, 201)
    assert.deepEqual(comparable(parseTicketReply(reply)), comparable(answer))
  }
  const refused = printTicketReply({ type: 'error', error: 'internal server error' })
  assert.deepEqual(parseTicketReply(refused), {
    type: 'error',
    error: 'tp error (500): internal server error',
  })
})

const comparable = (answer: ExchangeAnswer) =>
  answer.type === 'discharge' ? printMacaroon(answer.discharge) : answer

test('a reply with several answers is an error first, then a discharge, then an address', () => {
  const all = { error: 'no', discharge: token, poll_url: 'p' }
  const read = (fields: object) => parseTicketReply({ status: 401, body: JSON.stringify(fields) })
  assert.deepEqual(read(all), { type: 'error', error: 'tp error (401): no' })
  assert.equal(read({ ...all, error: '' }).type, 'discharge')
  assert.equal(read({ poll_url: 'p' }).type, 'poll')
  assert.throws(() => read({}), code('macaroon.bad_exchange'))
  assert.throws(() => read({ discharge: 'fm2_AAAA' }), MacaroonError)
})

test('202 means wait whatever its body says; any other reply must be JSON', () => {
  assert.deepEqual(parsePollReply({ status: 202, body: 'junk' }), { type: 'notReady' })
  assert.throws(
    () => parsePollReply({ status: 200, body: '<html>' }),
    (error) => code('macaroon.bad_exchange')(error) && /bad response \(200\)/.test(String(error)),
  )
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.json()),
      fc.constantFrom(200, 201, 404),
      (body, status) => {
        try {
          parseTicketReply({ status, body })
          parsePollReply({ status, body })
        } catch (error) {
          assert.ok(error instanceof MacaroonError, String(error))
        }
      },
    ),
  )
})

const open = (entriesMax = 10) =>
  new PendingDischarges({ entriesMax, ttlMs: 1000, random: seededRandom(1) })

test('a poll waits, then gets its discharge once, then finds nothing', () => {
  const pending = open()
  const ticket = Buffer.of(7)
  const { userSecret, pollSecret } = pending.begin(ticket, 0)
  const poll = () => printPollReply(pending.poll(pollSecret, 1)).status
  assert.equal(poll(), 202)
  assert.deepEqual(pending.ticketFor(userSecret, 1), ticket)
  assert.equal(pending.discharge(userSecret, discharge, 1), true)
  assert.equal(pending.discharge(userSecret, discharge, 1), false)
  assert.equal(poll(), 200)
  assert.equal(poll(), 404)
  assert.equal(pending.ticketFor(userSecret, 1), undefined)
  assert.equal(pending.count, 0)
})

test('a refusal is read once, as an error', () => {
  const pending = open()
  const { userSecret, pollSecret } = pending.begin(Buffer.of(7), 0)
  assert.equal(pending.abort(userSecret, 'changed my mind', 1), true)
  const reply = printPollReply(pending.poll(pollSecret, 1))
  assert.deepEqual(reply, { status: 200, body: '{"error":"changed my mind"}' })
  assert.equal(pending.poll(pollSecret, 1), undefined)
})

test('the two secrets are not interchangeable', () => {
  const pending = open()
  const { userSecret, pollSecret } = pending.begin(Buffer.of(7), 0)
  assert.equal(pending.poll(userSecret, 1), undefined)
  assert.equal(pending.ticketFor(pollSecret, 1), undefined)
})

test('waiting discharges are bounded in number and time', () => {
  const pending = open(2)
  const first = pending.begin(Buffer.of(1), 0)
  pending.begin(Buffer.of(2), 500)
  assert.throws(() => pending.begin(Buffer.of(3), 999), code('macaroon.exchange_full'))
  pending.begin(Buffer.of(3), 1000)
  assert.equal(pending.poll(first.pollSecret, 1000), undefined)
  assert.equal(pending.count, 2)
})
