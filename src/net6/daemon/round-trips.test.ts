import assert from 'node:assert/strict'
import test from 'node:test'
import { type RoundTrip, readPing, WrittenRoundTrips } from './round-trips.ts'

const trip = (rttUs: number | null, peerId = 'h2'): RoundTrip => ({ peerId, rttUs, lossPpm: 0 })

test('a round trip is written when it is new, changed by much, or old; not when it trembles', () => {
  const rows = new WrittenRoundTrips()
  const news = (rttUs: number | null, nowMs: number) => rows.news([trip(rttUs)], nowMs).length
  assert.equal(news(80_000, 0), 1)
  rows.wrote([trip(80_000)], 0)
  assert.equal(news(88_000, 1_000), 0)
  assert.equal(news(89_000, 1_000), 1)
  assert.equal(news(null, 1_000), 1)
  assert.equal(news(80_000, 600_000), 1)
})

test('a host that is gone is told once', () => {
  const rows = new WrittenRoundTrips()
  rows.wrote([trip(1), trip(2, 'h3')], 0)
  assert.deepEqual(rows.gone(new Set(['h3'])), ['h2'])
  rows.removed(['h2'])
  assert.deepEqual(rows.gone(new Set(['h3'])), [])
})

test('what ping prints is read, whether answers came or not', () => {
  const answered = `PING fdaa:a7b:1::1(fdaa:a7b:1::1) 56 data bytes

--- fdaa:a7b:1::1 ping statistics ---
3 packets transmitted, 2 received, 33.3333% packet loss, time 402ms
rtt min/avg/max/mdev = 80.251/80.410/80.630/0.160 ms
`
  assert.deepEqual(readPing('h2', answered), { peerId: 'h2', rttUs: 80_251, lossPpm: 333_333 })
  const silent = '3 packets transmitted, 0 received, 100% packet loss, time 2030ms\n'
  assert.deepEqual(readPing('h2', silent), { peerId: 'h2', rttUs: null, lossPpm: 1_000_000 })
  assert.deepEqual(readPing('h2', ''), { peerId: 'h2', rttUs: null, lossPpm: 1_000_000 })
})
