import type { HealthReport } from '../api/api-host.ts'
import type { MigrationStep } from '../schema/plan-migration.ts'
import type { Store } from '../store/store.ts'
import type { Subscriptions } from '../subscriptions/subscriptions.ts'
import type { ClusterNode } from './cluster-node.ts'

/** What commands and metrics see of the agent. */
export interface AgentView {
  readonly store: Store
  readonly node: ClusterNode
  readonly subscriptions: Subscriptions
  health(): HealthReport
  /** @throws SchemaError; the schema is as before then. */
  reloadSchema(): MigrationStep[]
}
