/** For tests: a corrosion agent with the platform's tables, in this process. */
import assert from 'node:assert/strict'
import { Agent, ApiClient, asObject, loadAgentConfig, writeTrialAgent } from '#corrosion'
import type { FollowedHostRow } from './own-row.ts'

/** @param port of its API, the same after a restart */
export async function startAgent(folder: string, port: number): Promise<Agent> {
  const path = await writeTrialAgent(folder, port)
  return Agent.start(loadAgentConfig(path), (error) => assert.fail(String(error)))
}

export async function rowsOf(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = []
  for await (const event of new ApiClient({ url }).query(sql, [])) {
    if (event.kind === 'row') rows.push({ ...asObject(event.columns, event.cells) })
  }
  return rows
}

/** The rows of `hosts`, by id. */
export async function hostRows(url: string): Promise<Map<string, FollowedHostRow>> {
  const rows = new Map<string, FollowedHostRow>()
  for await (const event of new ApiClient({ url }).query('SELECT * FROM hosts', [])) {
    if (event.kind !== 'row') continue
    const row = asObject(event.columns, event.cells) as FollowedHostRow
    rows.set(row.id, row)
  }
  return rows
}
