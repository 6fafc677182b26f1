import type { Accounts } from '#accounts'
import { CLAIM_MS, type MachineNames } from './machine-names.ts'

/** Claims in the accounts, which every instance shares: of two that create one name, one is first. */
export function accountsMachineNames(accounts: Accounts): MachineNames {
  return {
    async claim({ appId, name, machineId }) {
      const claim = { app: Number(appId), name, machine: machineId, ttlMs: CLAIM_MS }
      return { holderId: accounts.claimMachineName(claim) }
    },
    release({ appId, name, machineId }) {
      accounts.releaseMachineName({ app: Number(appId), name, machine: machineId })
    },
  }
}
