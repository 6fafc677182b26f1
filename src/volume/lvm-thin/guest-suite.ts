/** Runs in the guest: what lvm-thin promises. */
import { before } from 'node:test'
import { testBlockDriver } from '../contract.ts'
import { LvmThinDriver } from './lvm-thin-driver.ts'

const options = { group: 'godwit', pool: 'devices', devices: ['/dev/disk-pool'] }
let driver: LvmThinDriver

before(async () => {
  driver = await LvmThinDriver.open(options)
})

// Each command of LVM takes a third of a second here.
testBlockDriver('lvm-thin', () => driver, { crowd: 20 })
