import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorCode } from '#base'
import { Ed25519Key } from '#ssh'

/** The key by which the machines of this host show themselves to ssh; made when it is missing. */
export function openHostKey(path: string): Ed25519Key {
  try {
    return new Ed25519Key(Buffer.from(readFileSync(path, 'utf8').trim(), 'hex'))
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
  const key = Ed25519Key.generate()
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, `${key.seed.toString('hex')}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
  return key
}
