import assert from 'node:assert/strict'
import test from 'node:test'
import {
  type MarketErrorCode,
  PlacementError,
  type Placer,
  parseHostId,
  parseRegion,
} from '#market'
import { marketPlacement } from './market-placement.ts'
import { nobodyTook, type PlaceRequest } from './placement.ts'

const request: PlaceRequest = {
  id: 'a4c123b1612dd2',
  appId: 'app_heron',
  regions: ['ams', 'nrt'],
  volume: undefined,
  guest: { cpuKind: 'shared', cpus: 1, memoryMb: 256 },
  volumeGb: 3,
  dedication: undefined,
  image: 'nginx',
  apart: ['vol_1'],
  exclusive: 'app_heron/data',
}
const { signal } = new AbortController()

const failing = (code: MarketErrorCode): Placer => ({
  place: () =>
    Promise.reject(
      new PlacementError(code, { what: 'no host has room' }, [
        { reason: 'memory', region: parseRegion('ams'), host: parseHostId('h1') },
        { reason: 'nobody', region: parseRegion('nrt') },
      ]),
    ),
  release: () => undefined,
})

test('what is asked of the market is what was asked for, in its units', async () => {
  let asked: unknown
  const placement = marketPlacement({
    place: async (one) => {
      asked = one
      return {
        host: parseHostId('h1'),
        region: parseRegion('ams'),
        reservation: 'r1',
        ttlMs: 1,
        tookMs: 1,
        orderCount: 1,
      }
    },
    release: () => undefined,
  })
  const answer = await placement.place(request, signal)
  assert.deepEqual(answer, {
    placed: true,
    place: { hostId: 'h1', region: 'ams', reservation: 'r1' },
  })
  assert.deepEqual(asked, {
    app: 'app_heron',
    regions: ['ams', 'nrt'],
    volumeBytes: 3 * 2 ** 30,
    apart: ['vol_1'],
    guest: request.guest,
    image: 'nginx',
    exclusive: 'app_heron/data',
  })
  const onVolume = { ...request, volume: { id: 'vol_2', hostId: 'h2' } }
  await placement.place(onVolume, signal)
  const { volume, host } = asked as unknown as { volume: string; host: string }
  assert.deepEqual([volume, host], ['vol_2', 'h2'])
})

test('when hosts refuse, each says why; when nobody was asked, the call may be sent again', async () => {
  for (const code of ['market.no_capacity', 'market.no_match', 'market.no_answer'] as const) {
    const answer = await marketPlacement(failing(code)).place(request, signal)
    assert(!answer.placed)
    const error = nobodyTook(request, answer.refusals)
    assert.equal(error.code, 'flaps.capacity_lacking')
    assert.match(error.what, /h1: insufficient memory available to fulfill request; nrt: no host/)
  }
  for (const code of ['market.unavailable', 'market.overloaded', 'market.deadline'] as const) {
    const placing = marketPlacement(failing(code)).place(request, signal)
    await assert.rejects(placing, { code: 'flaps.host_unreached' })
  }
  const placing = marketPlacement(failing('market.request_bad')).place(request, signal)
  await assert.rejects(placing, { code: 'market.request_bad' })
})
