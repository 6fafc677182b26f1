import type { SQLOutputValue } from 'node:sqlite'
import { ulidGenerator } from '#base'
import type { Accounts } from './accounts.ts'
import { requireApp, taken } from './apps.ts'
import { notFound } from './errors.ts'
import {
  atMost,
  checkNetworkPolicy,
  checkPortsOf,
  type NetworkPolicy,
  type NetworkPolicyRule,
  type NetworkPolicySelector,
} from './network-policy.ts'
import type { Store } from './store.ts'

/** Of each app. */
const POLICIES_MAX = 64

export const networkPolicyReads = (store: Store): Pick<Accounts, 'networkPolicies'> => ({
  networkPolicies: (app) => policiesOf(store, requireApp(store, app).id),
})

export function networkPolicyWrites(
  store: Store,
): Pick<Accounts, 'putNetworkPolicy' | 'removeNetworkPolicy'> {
  const newId = ulidGenerator(store)
  return {
    putNetworkPolicy(_call, { app, id, name, selector, rules }) {
      const { id: appId } = requireApp(store, app)
      const own = policiesOf(store, appId)
      const former = own.find((one) => one.id === id)
      const others = own.filter((one) => one.id !== id)
      if (id !== undefined && former === undefined) throw notFound('network policy', { app, id })
      checkNetworkPolicy({ name, selector, rules })
      const namesake = others.find((one) => one.name === name)
      if (namesake !== undefined) throw taken('policy name', { name, policy: namesake.id })
      atMost(POLICIES_MAX, others.length + 1, 'network policies of an app')
      checkPortsOf([...others, { name, selector, rules }])
      const nowMs = store.clock.nowMs()
      const put: NetworkPolicy = {
        ...{ id: id ?? `np_${newId().toLowerCase()}`, name, selector, rules },
        ...{ createdAtMs: former?.createdAtMs ?? nowMs, updatedAtMs: nowMs },
      }
      const texts = [JSON.stringify(selector), JSON.stringify(rules)]
      store.database
        .prepare(
          `INSERT INTO network_policies (id, app, name, selector, rules, created_at_ms, updated_at_ms)
           VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name,
           selector = excluded.selector, rules = excluded.rules, updated_at_ms = excluded.updated_at_ms`,
        )
        .run(put.id, appId, name, ...texts, put.createdAtMs, nowMs)
      return put
    },
    removeNetworkPolicy(_call, { app, id }) {
      const { changes } = store.database
        .prepare('DELETE FROM network_policies WHERE app = ? AND id = ?')
        .run(requireApp(store, app).id, id)
      if (changes === 0) throw notFound('network policy', { app, id })
    },
  }
}

const policiesOf = ({ database }: Store, app: number): NetworkPolicy[] =>
  database
    .prepare('SELECT * FROM network_policies WHERE app = ? ORDER BY created_at_ms, id')
    .all(app)
    .map(policyOf)

const policyOf = (row: Record<string, SQLOutputValue>): NetworkPolicy => ({
  id: String(row['id']),
  name: String(row['name']),
  selector: JSON.parse(String(row['selector'])) as NetworkPolicySelector,
  rules: JSON.parse(String(row['rules'])) as NetworkPolicyRule[],
  createdAtMs: Number(row['created_at_ms']),
  updatedAtMs: Number(row['updated_at_ms']),
})
