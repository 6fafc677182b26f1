import { startDeadline } from '#base'
import type { Cell, PlatformRow } from '../routing-table/platform-rows.ts'
import type { CertificateRows } from './certificate-orders.ts'

export interface CorrosionWriter {
  /** Of the agent's HTTP API on this host. */
  readonly url: string
  readonly bearerToken?: string | undefined
}

const WRITE_MS_MAX = 10_000

/** Writes this host's rows of `certs` and `acme_challenges` through the agent's API. */
export function corrosionCertificateRows(agent: CorrosionWriter): CertificateRows {
  return {
    putCertificate: (row) => write(agent, upsert('certs', ['hostname', 'host_id'], row)),
    putChallenge: (row) => write(agent, upsert('acme_challenges', ['hostname', 'token'], row)),
    removeChallenge: (hostname, token) =>
      write(agent, [
        'DELETE FROM acme_challenges WHERE hostname = ? AND token = ?',
        [hostname, token],
      ]),
  }
}

type Statement = readonly [sql: string, parameters: readonly unknown[]]

function upsert(table: string, key: readonly string[], row: PlatformRow): Statement {
  const columns = Object.keys(row)
  const changes = columns.filter((column) => !key.includes(column))
  const set = changes.map((column) => `${column} = excluded.${column}`).join(', ')
  const marks = columns.map(() => '?').join(', ')
  return [
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${marks}) ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${set}`,
    columns.map((column) => cellOf(row[column] ?? null)),
  ]
}

/** Blobs travel as arrays of bytes. */
const cellOf = (cell: Cell) => (cell instanceof Uint8Array ? [...cell] : cell)

/** @throws what the agent or the network says */
async function write({ url, bearerToken }: CorrosionWriter, statement: Statement): Promise<void> {
  using deadline = startDeadline('the write to corrosion', WRITE_MS_MAX)
  const response = await fetch(`${url}/v1/transactions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` }),
    },
    body: JSON.stringify([statement]),
    signal: deadline.signal,
  })
  const answer = await response.text()
  if (!response.ok || answer.includes('"error"')) {
    throw new Error(`corrosion refused a row: ${answer.slice(0, 200)}`)
  }
}
