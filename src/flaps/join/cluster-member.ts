import { type Static, Type } from 'typebox'

/** A host of the cluster as all hosts' files have it. */
export const clusterMember = Type.Object({
  host: Type.String(),
  region: Type.String(),
  address: Type.String(),
  roles: Type.Array(Type.String()),
  nkey: Type.String(),
  gateway_nkey: Type.Optional(Type.String()),
})
export type ClusterMember = Static<typeof clusterMember>
