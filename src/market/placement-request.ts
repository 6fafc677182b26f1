import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { MarketError } from './errors.ts'
import { type HostId, type Region, TOKEN_PATTERN } from './host.ts'
import type { Guest } from './needs.ts'

const TEXT_CHARS_MAX = 512
export const REGIONS_MAX = 64
/** Machines and volumes that one request may name. */
export const NAMED_MAX = 256
const CPUS_MAX = 1_024
const MEMORY_MB_MAX = 64 << 20

const text = Type.String({ minLength: 1, maxLength: TEXT_CHARS_MAX })
const token = Type.String({ pattern: TOKEN_PATTERN })
const named = Type.Array(text, { maxItems: NAMED_MAX })

/**
 * A request as it travels. Unknown keys are let through: a newer flaps may ask an older host, which
 * must then be told to refuse by the version of the message (message.ts).
 */
export const placementRequestSchema = Type.Object({
  app: text,
  guest: Type.Optional(
    Type.Object({
      cpuKind: Type.Union([Type.Literal('shared'), Type.Literal('performance')]),
      cpus: Type.Integer({ minimum: 1, maximum: CPUS_MAX }),
      memoryMb: Type.Integer({ minimum: 1, maximum: MEMORY_MB_MAX }),
    }),
  ),
  volumeBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  regions: Type.Array(token, { minItems: 1, maxItems: REGIONS_MAX, uniqueItems: true }),
  host: Type.Optional(token),
  volume: Type.Optional(text),
  hardware: Type.Optional(text),
  dedication: Type.Optional(text),
  beside: Type.Optional(named),
  apart: Type.Optional(named),
  exclusive: Type.Optional(text),
  image: Type.Optional(text),
})

/** What a machine, or a volume, needs of the host that it is to live on. */
export interface PlacementRequest {
  /** Machines of one app are spread, softly, over hosts. */
  readonly app: string
  /** Absent: a volume alone. */
  readonly guest?: Guest
  /** Of volumes that come with it. @default 0 */
  readonly volumeBytes?: number
  /** Tried in this order, each until all its hosts have refused. One is strict. */
  readonly regions: readonly Region[]
  /** This host and no other; it must stand in one of the regions. */
  readonly host?: HostId
  /** An existing volume: its host and no other. Name `host` too where it is known: nobody else is asked. */
  readonly volume?: string
  readonly hardware?: string
  readonly dedication?: string
  /** Machines and volumes that must all live on that host. */
  readonly beside?: readonly string[]
  /** Machines and volumes of which none may live on that host. */
  readonly apart?: readonly string[]
  /**
   * The host may hold one of these at most, even when two are placed at the same moment: volumes of
   * one name and app that want a zone each use `<app>/<name>`.
   */
  readonly exclusive?: string
  /** Hosts that have this image are preferred, softly. */
  readonly image?: string
}

const compiled = Compile(placementRequestSchema)

/**
 * Checks what somebody wrote. Sizes are checked against sense, not against the sizes on offer.
 *
 * @throws MarketError market.request_bad
 */
export function checkPlacementRequest(value: unknown): PlacementRequest {
  if (!compiled.Check(value)) {
    const [first] = compiled.Errors(value)
    throw new MarketError('market.request_bad', {
      what: 'not a placement request',
      values: { at: first?.instancePath ?? '', why: first?.message ?? '' },
      fix: 'mend what is named',
    })
  }
  return asRequest(value)
}

/** The schema has checked what the brands promise. */
export const asRequest = (value: Static<typeof placementRequestSchema>): PlacementRequest =>
  value as unknown as PlacementRequest
