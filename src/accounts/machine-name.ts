/**
 * Names of machines that are being created. A claim is no fact of its own, only the word of whoever creates
 * that no other may take the name meanwhile: it runs out, and leaves no entry in the audit log.
 */
export interface MachineNameClaims {
  /** @returns the machine that has the name: this one, or whose claim came first. */
  claimMachineName(claim: MachineNameClaim & { ttlMs: number }): string
  /** False: another's, or none. */
  releaseMachineName(claim: MachineNameClaim): boolean
}

export interface MachineNameClaim {
  /** The app's id. */
  readonly app: number
  readonly name: string
  readonly machine: string
}
