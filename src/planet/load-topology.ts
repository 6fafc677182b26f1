import { fileURLToPath } from 'node:url'
import { loadConfig } from '#base'
import { type Topology, TopologySchema } from './topology.ts'

/** The topology of `npm run up`. */
export const BOX_TOPOLOGY = fileURLToPath(new URL('../../topologies/box.toml', import.meta.url))

/** @throws BaseError base.config_unreadable, base.config_bad: each problem with line and key. */
export const loadTopology = (file: string): Topology => loadConfig({ schema: TopologySchema, file })
