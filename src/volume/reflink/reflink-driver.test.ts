import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { testBlockDriver } from '../contract.ts'
import { testCrashes } from '../contract-crash.ts'
import { testAgainstModel } from '../contract-model.ts'
import { ReflinkDriver } from './reflink-driver.ts'

const folder = mkdtempSync(join(tmpdir(), 'godwit-reflink-'))
const options = { folder, poolBytes: 2 ** 30, isBounded: true }
let loop: ReflinkDriver
let inside: ReflinkDriver

before(async () => {
  loop = await ReflinkDriver.open(options)
  inside = await ReflinkDriver.open({ folder: join(loop.sharedFolder, 'inside'), poolBytes: 0 })
})
after(async () => {
  await loop.unmount()
  rmSync(folder, { recursive: true })
})

testBlockDriver('reflink on a loop device', () => loop)
testBlockDriver('reflink in a folder that can', () => inside)
testAgainstModel('reflink', () => loop, { runs: 40, changesMax: 40 })

const crashFolder = () => join(loop.sharedFolder, 'crash')
testCrashes('reflink', () => ({ kind: 'reflink', folder: crashFolder(), poolBytes: 0 }), {
  rounds: 12,
  lifeMs: 120,
  leftovers: async () => readdirSync(join(crashFolder(), 'work')),
})
