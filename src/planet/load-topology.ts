import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'smol-toml'
import type { Topology } from './topology.ts'

/** The topology of `npm run up`. */
export const BOX_TOPOLOGY = fileURLToPath(new URL('../../topologies/box.toml', import.meta.url))

export function loadTopology(file: string): Topology {
  return parse(readFileSync(file, 'utf8')) as unknown as Topology
}
