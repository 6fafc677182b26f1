/** What stays of a machine from its creation to its end, on whatever host. */
export interface MachineIdentity {
  readonly id: string
  readonly name: string
  readonly appId: string
  readonly appName: string
  readonly orgId: string
  readonly orgSlug: string
  readonly networkId: number
  readonly region: string
}

/** That alone of a record that has more. */
export function identityOf(record: MachineIdentity): MachineIdentity {
  const { id, name, appId, appName, orgId, orgSlug, networkId, region } = record
  return { id, name, appId, appName, orgId, orgSlug, networkId, region }
}
