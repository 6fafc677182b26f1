import type { HostConfig } from '../host-config.ts'
import { corrosionPart } from './corrosion-part.ts'
import type { DerivedPart, PartOf } from './derived-part.ts'
import { dnsPart } from './dns-part.ts'
import { flapsPart } from './flaps-part.ts'
import { flydPart } from './flyd-part.ts'
import { natsPart } from './nats-part.ts'
import { netPart } from './net-part.ts'
import { proxyPart } from './proxy-part.ts'

/** Every daemon that a host may run. A new one is added here, and its file beside those of the others. */
const ALL: readonly PartOf[] = [
  corrosionPart,
  netPart,
  natsPart,
  flydPart,
  flapsPart,
  proxyPart,
  dnsPart,
]

/** The daemons that this host runs. Pure. */
export const partsOf = (config: HostConfig): DerivedPart[] =>
  ALL.flatMap((partOf) => partOf(config) ?? [])
