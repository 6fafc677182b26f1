import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { MarketError } from './errors.ts'
import { ams, host, nrt, request, small } from './market.fixture.ts'
import {
  decodeAnswer,
  decodeAsk,
  decodeOrder,
  decodeOrderAnswer,
  encodeAnswer,
  encodeAsk,
  encodeOrder,
  encodeOrderAnswer,
  MESSAGE_BYTES_MAX,
} from './message.ts'
import { checkPlacementRequest, type PlacementRequest } from './placement-request.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const full: PlacementRequest = {
  app: 'web',
  guest: small,
  volumeBytes: 2 ** 30,
  regions: [ams, nrt],
  host: host('a1'),
  volume: 'vol_1',
  hardware: 'epyc-9554',
  dedication: 'acme',
  beside: ['m1'],
  apart: ['m2', 'vol_2'],
  exclusive: 'web/data',
  image: 'registry/web@sha256:0',
}
const utilisation = { cpu: 0.5, memory: 0.25, machines: 0.1, volume: 0 }
const bid = { host: host('a1'), region: ams, utilisation, appMachines: 2, hasImage: true }
const refusal = { reason: 'memory', asked: 512, free: 256 } as const

test('messages survive encode and decode', () => {
  for (const one of [request, full]) assert.deepEqual(decodeAsk(bytes(encodeAsk(one))), one)
  for (const answer of [
    { type: 'bid', bid },
    { type: 'refusal', refusal },
  ] as const) {
    const decoded = decodeAnswer(bytes(encodeAnswer(answer)))
    assert.deepEqual(
      decoded.type === 'bid' ? decoded.bid : decoded.refusal,
      answer.type === 'bid' ? bid : refusal,
    )
  }
  const reserve = { type: 'reserve', reservation: 'r1', ttlMs: 5, request: full } as const
  const { reservation, ttlMs } = decodeOrder(bytes(encodeOrder(reserve))) as typeof reserve
  assert.deepEqual([reservation, ttlMs], ['r1', 5])
  assert.equal(
    decodeOrder(bytes(encodeOrder({ type: 'cancel', reservation: 'r1' }))).type,
    'cancel',
  )
  for (const answer of [
    { reservation: 'r1', refusal: undefined },
    { reservation: 'r1', refusal },
  ]) {
    assert.deepEqual(decodeOrderAnswer(bytes(encodeOrderAnswer(answer))), answer)
  }
})

const decoders = { decodeAsk, decodeAnswer, decodeOrder, decodeOrderAnswer }

for (const [name, decode] of Object.entries(decoders)) {
  const orError = (data: Uint8Array) => {
    try {
      decode(data)
    } catch (error) {
      assert.ok(error instanceof MarketError && error.code === 'market.message_malformed')
      return true
    }
    return false
  }

  test(`${name}: any bytes and any JSON give a message or a MarketError`, () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (data) => void orError(data)))
    fc.assert(fc.property(fc.json(), (text) => void orError(bytes(text))))
  })

  test(`${name}: a changed message is a message or a MarketError, another version never one`, () => {
    const texts = [
      encodeAsk(full),
      encodeAnswer({ type: 'bid', bid }),
      encodeOrder({ type: 'reserve', reservation: 'r', ttlMs: 1, request: full }),
      encodeOrderAnswer({ reservation: 'r', refusal }),
    ]
    for (const text of texts) {
      assert.ok(orError(bytes(text.replace('"v":1', '"v":2'))))
      const arbitrary = fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 }))
      fc.assert(
        fc.property(arbitrary, ([at, char]) => {
          orError(bytes(text.slice(0, at) + String.fromCharCode(char) + text.slice(at + 1)))
          orError(bytes(text.slice(0, at)))
        }),
      )
    }
  })
}

test('a message beyond the bound is refused before it is parsed', () => {
  const padded = encodeAsk(request) + ' '.repeat(MESSAGE_BYTES_MAX)
  assert.throws(() => decodeAsk(bytes(padded)), {
    code: 'market.message_malformed',
    message: /too large/,
  })
})

test('a request that asks for the impossible is told what is wrong with it', () => {
  const wrong: [object, string][] = [
    [{ ...request, regions: [] }, '/regions'],
    [{ ...request, regions: ['a.b'] }, '/regions/0'],
    [{ ...request, regions: ['>'] }, '/regions/0'],
    [{ ...request, regions: ['ams', 'ams'] }, '/regions'],
    [{ ...request, guest: { ...small, cpus: 0 } }, '/guest/cpus'],
    [{ ...request, guest: { ...small, memoryMb: 1.5 } }, '/guest/memoryMb'],
    [{ ...request, volumeBytes: -1 }, '/volumeBytes'],
    [{ ...request, host: 'a.*' }, '/host'],
  ]
  for (const [value, at] of wrong) {
    assert.throws(
      () => checkPlacementRequest(value),
      (error: MarketError) => error.code === 'market.request_bad' && error.values['at'] === at,
      at,
    )
  }
})
