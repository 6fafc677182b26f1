/** Runs in the guest: lvm-thin keeps the contract. Numbers are small: a command of LVM takes a third of a second here. */
import { before } from 'node:test'
import { testBlockDriver } from '../contract.ts'
import { testAgainstModel } from '../contract-model.ts'
import { LvmThinDriver } from './lvm-thin-driver.ts'

let driver: LvmThinDriver

before(async () => {
  const devices = ['/dev/disk-pool']
  driver = await LvmThinDriver.open({ group: 'pool', pool: 'devices', devices })
})

testBlockDriver('lvm-thin', () => driver, { crowd: 3, snapshots: 2 })
testAgainstModel('lvm-thin', () => driver, { runs: 1, changesMax: 8 })
