/** Other hosts, as their rows in `hosts` tell of them (#corrosion, platform-schema.ts). */
import { isIP } from 'node:net'
import { Net6Error } from '../errors.ts'
import { parseMeshPrefix } from '../six-pn-address.ts'

/** The columns that the mesh is made of. A host that is not joined yet has them empty. */
export interface HostRow {
  readonly id: string
  readonly six_pn_prefix: string
  readonly mesh_public_key: string
  /** address:port, an IPv6 address in brackets. */
  readonly mesh_endpoint: string
}

export interface MeshHost {
  readonly id: string
  /** The field in 6PN addresses. */
  readonly host: number
  readonly generation: number
  readonly prefix: string
  readonly publicKey: string
  readonly endpoint: string
}

export interface ReadRows {
  /** In the order of their ids. */
  readonly hosts: readonly MeshHost[]
  /** Rows that were left out, each with the reason. */
  readonly problems: readonly Net6Error[]
}

/**
 * Reads rows and leaves out what cannot be a host. Two that claim one prefix or one key cannot both be right:
 * the id that sorts first is believed, as in allocation.ts.
 */
export function readRows(rows: Iterable<HostRow>): ReadRows {
  const hosts: MeshHost[] = []
  const problems: Net6Error[] = []
  const claims = new Map<string, string>()
  for (const row of [...rows].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (row.six_pn_prefix === '' && row.mesh_public_key === '') continue // not joined yet
    try {
      const read = readRow(row)
      for (const claim of [`host ${read.host}`, `key ${read.publicKey}`]) {
        const other = claims.get(claim)
        if (other !== undefined) throw bad(row, `${other} has the same ${claim.split(' ')[0]}`)
      }
      claims.set(`host ${read.host}`, row.id).set(`key ${read.publicKey}`, row.id)
      hosts.push(read)
    } catch (error) {
      if (!(error instanceof Net6Error)) throw error
      problems.push(error.code === 'net6.peer_bad' ? error : bad(row, error.message, error))
    }
  }
  return { hosts, problems }
}

function readRow(row: HostRow): MeshHost {
  const { host, generation } = parseMeshPrefix(row.six_pn_prefix)
  const key = Buffer.from(row.mesh_public_key, 'base64')
  if (key.length !== 32 || key.toString('base64') !== row.mesh_public_key) {
    throw bad(row, 'its key is not 32 bytes in base64')
  }
  checkEndpoint(row)
  const { id, six_pn_prefix: prefix, mesh_endpoint: endpoint } = row
  return { id, host, generation, prefix, publicKey: row.mesh_public_key, endpoint }
}

/** An address, not a name: a resolver that is down, or lies, must not move a peer. */
function checkEndpoint(row: HostRow): void {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(row.mesh_endpoint)
  const [, ipv6 = '', ipv4 = '', port = '0'] = parts ?? []
  const isAddress = isIP(ipv6) === 6 || isIP(ipv4) === 4
  if (isAddress && Number(port) > 0 && Number(port) < 65_536) return
  throw bad(row, 'its endpoint is not address:port')
}

const bad = (row: HostRow, why: string, cause?: unknown) =>
  new Net6Error('net6.peer_bad', {
    what: 'a host cannot be joined to the mesh',
    values: { host: row.id, why },
    fix: "see that host's row in `hosts`",
    cause,
  })
