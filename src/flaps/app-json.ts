import type { App } from './directory.ts'
import type { Rows } from './rows.ts'

/** An app as the API shows it. Its id is its name: clients put either where the other is asked. */
export function appJson(app: App, rows: Rows): Record<string, unknown> {
  const machines = rows.machines({ appId: app.id })
  const { organization } = app
  return {
    id: app.name,
    name: app.name,
    internal_numeric_id: app.numericId,
    network: app.network,
    status: appStatus(machines.map(({ json }) => json.state)),
    machine_count: machines.length,
    volume_count: rows.volumes(app.id).length,
    organization: {
      name: organization.name,
      slug: organization.slug,
      internal_numeric_id: organization.numericId,
    },
    cname_target: '',
    app_role: app.role,
  }
}

/** Of an app whose machines are in these states. */
export function appStatus(states: readonly string[]): 'pending' | 'deployed' | 'suspended' {
  if (states.length === 0) return 'pending'
  return states.every((state) => state === 'suspended' || state === 'stopped')
    ? 'suspended'
    : 'deployed'
}
