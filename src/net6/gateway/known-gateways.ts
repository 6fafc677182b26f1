/** The gateways for people's devices, as rows told of them last: for whoever looks at the network without any daemon. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, writeDurably } from '#base'

export interface KnownGateway {
  readonly hostId: string
  readonly publicKey: string
  /** `ip:port`, UDP. */
  readonly endpoint: string
}

const pathOf = (folder: string) => join(folder, 'gateways.json')

/** None: no row told of one yet. */
export async function readKnownGateways(folder: string): Promise<readonly KnownGateway[]> {
  try {
    return JSON.parse(await readFile(pathOf(folder), 'utf8')) as KnownGateway[]
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return []
    throw error
  }
}

export const writeKnownGateways = (folder: string, known: readonly KnownGateway[]): Promise<void> =>
  writeDurably(pathOf(folder), `${JSON.stringify(known)}\n`)
