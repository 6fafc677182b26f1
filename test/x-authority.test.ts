import test from 'node:test'
import { changeAuthority } from './authority-on-planet.ts'
import { testPlanet } from './planet-world.ts'
import { HOSTS, Platform } from './platform-on-planet.ts'

test('authority', async (t) => {
  const world = await testPlanet(t, 'authority', { latency: true, bgp_hold_s: 3 })
  const platform = await Platform.start(t, world, { names: [...HOSTS, 'ams-2'] })
  const beganMs = Date.now()
  await changeAuthority(platform, [...HOSTS, 'ams-2'])
  console.log('took', Date.now() - beganMs)
})
