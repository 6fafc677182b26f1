import { resolve } from 'node:path'
import type { HostConfig } from '../host-config.ts'
import type { Part } from '../part.ts'

/** A daemon as it follows from a host's configuration. */
export interface DerivedPart extends Part {
  /** Written before it is started, to `path`: its own configuration, and what that names. */
  readonly files: readonly PartFile[]
  /** Made before it is started. */
  readonly folders?: readonly string[]
}

export interface PartFile {
  readonly path: string
  readonly text: string
}

/**
 * One kind of daemon: whether this host runs it, and how. Pure. To add a daemon, write one of these beside
 * the others and name it in all-parts.ts.
 */
export type PartOf = (config: HostConfig) => DerivedPart | undefined

/** The program that every part of ours is a command of. */
export const GODWIT = resolve(import.meta.dirname, '../../../bin/godwit')

/** Where things of a host are. Nothing else joins these paths. */
export const placesOf = ({ folder, run_folder: run, secrets, gateway }: HostConfig) => ({
  state: (...names: string[]) => [folder, ...names].join('/'),
  run: (name: string) => `${run}/${name}`,
  secret: (name: string) => `${secrets ?? `${folder}/secrets`}/${name}`,
  config: (name: string) => `${run}/parts/${name}`,
  replica: `${folder}/corrosion/state.db`,
  agentSocket: `${run}/corrosion.sock`,
  accounts: gateway.accounts ?? `${folder}/accounts`,
})
