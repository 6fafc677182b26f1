/** This host's keys: a file that only root reads. The private ones never leave it but for WireGuard. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCode, writeDurably } from '#base'
import { Net6Error } from '../errors.ts'
import { GENERATION_COUNT } from '../six-pn-address.ts'

export interface MeshKey {
  /** Base64, as all keys. */
  readonly privateKey: string
  readonly publicKey: string
}

export interface MeshKeys {
  /** Generation of the key that this host's row shows. */
  readonly current: number
  /** By generation; the other one is there while a change is under way. */
  readonly keys: Readonly<Record<number, MeshKey>>
}

/** X25519, which WireGuard clamps itself. Source: RFC 7748; RFC 8410 for the 32 bytes at the end. */
export function generateMeshKey(): MeshKey {
  const pair = generateKeyPairSync('x25519')
  const tail = (der: Buffer) => der.subarray(-32).toString('base64')
  return {
    privateKey: tail(pair.privateKey.export({ format: 'der', type: 'pkcs8' })),
    publicKey: tail(pair.publicKey.export({ format: 'der', type: 'spki' })),
  }
}

/** Reads the keys; makes the first one when there are none. @throws Net6Error net6.state_bad */
export async function readMeshKeys(path: string): Promise<MeshKeys> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  try {
    return JSON.parse(await readFile(path, 'utf8')) as MeshKeys
  } catch (cause) {
    if (errorCode(cause) !== 'ENOENT') {
      throw new Net6Error('net6.state_bad', {
        what: "WireGuard's keys cannot be read",
        values: { path },
        fix: 'restore the file, or remove it: the host then joins with a new key',
        cause,
      })
    }
    const keys: MeshKeys = { current: 0, keys: { 0: generateMeshKey() } }
    await writeMeshKeys(path, keys)
    return keys
  }
}

export const writeMeshKeys = (path: string, keys: MeshKeys): Promise<void> =>
  writeDurably(path, `${JSON.stringify(keys)}\n`)

export const otherGeneration = (generation: number): number => (generation + 1) % GENERATION_COUNT
