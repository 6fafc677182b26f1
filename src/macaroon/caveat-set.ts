import { badJson, type Codec, isJsonObject } from './body-codec.ts'
import type { Caveat, UnknownCaveat } from './caveat.ts'
import type { CaveatKind } from './caveat-kind.ts'
import { operationKinds } from './caveats/operations.ts'
import { principalKinds } from './caveats/principals.ts'
import { resourceKinds } from './caveats/resources.ts'
import { sourceKinds } from './caveats/sources.ts'
import { structuralKinds } from './caveats/structural.ts'
import { MacaroonError, malformed } from './errors.ts'
import { type ExactJson, parseExactJson } from './exact-json.ts'
import { UINT64_MAX, type WireInteger, wireInteger } from './wire-integer.ts'
import { WireReader } from './wire-reader.ts'
import { WireWriter } from './wire-writer.ts'

/**
 * The registry of caveat types, and the set of caveats: on the wire one flat array of number, body,
 * number, body; in JSON a list of `{"type": NAME, "body": ...}`.
 */

export type AnyKind = CaveatKind<unknown>

/** Inside IfPresent: canonical, because it is signed as a whole; or Go's nil. */
const nestedCaveatSet: Codec<readonly Caveat[] | null> = {
  read: (reader) =>
    reader.skipNil() ? null : reader.nested(() => readCaveats(reader, reader.readArrayHeader())),
  write(writer, caveats) {
    if (caveats === null) writer.writeNil()
    else writeCaveatSet(writer, caveats)
  },
  toJson: (caveats) => caveats?.map(caveatToJson) ?? null,
  fromJson: (json) => caveatsFromJson(json),
  zero: null,
}

const kinds: readonly AnyKind[] = [
  ...resourceKinds,
  ...operationKinds,
  ...principalKinds,
  ...sourceKinds,
  ...structuralKinds(nestedCaveatSet),
]
const kindsByNumber = new Map<WireInteger, AnyKind>(kinds.map((kind) => [kind.number, kind]))
const kindsByName = new Map<string, AnyKind>(
  kinds.flatMap((kind) => [kind.type, ...(kind.aliases ?? [])].map((name) => [name, kind])),
)

/** The kind of a caveat; undefined for an unknown one. */
export function kindOf(caveat: Caveat): AnyKind | undefined {
  return caveat.type === 'unknown' ? undefined : kindsByName.get(caveat.type)
}

/** Reads what an array header of `elementCount` announced. */
export function readCaveats(reader: WireReader, elementCount: number): Caveat[] {
  if (elementCount % 2 === 1) throw malformed('bad caveat container', { elements: elementCount })
  reader.countCaveats(elementCount / 2)
  const caveats: Caveat[] = []
  for (let left = elementCount; left > 0; left -= 2) caveats.push(readCaveat(reader))
  return caveats
}

/** One caveat: its number, then its body. */
export function readCaveat(reader: WireReader): Caveat {
  const number = reader.readUnsigned()
  const kind = kindsByNumber.get(number)
  if (kind !== undefined) return { type: kind.type, body: kind.body.read(reader) } as Caveat
  const start = reader.offset
  reader.skipValue()
  return { type: 'unknown', number, body: reader.since(start) }
}

/** The bytes of one caveat as they stand in a token; the tail signs them as `92` and these. */
export function packCaveat(caveat: Caveat): Buffer {
  const writer = new WireWriter()
  writeCaveat(writer, caveat)
  return writer.finish()
}

function writeCaveat(writer: WireWriter, caveat: Caveat): void {
  const kind = kindOf(caveat)
  if (kind === undefined) {
    const { number, body } = caveat as UnknownCaveat
    writer.writeInteger(number)
    writer.writeRaw(body)
    return
  }
  writer.writeInteger(kind.number)
  kind.body.write(writer, caveat.body)
}

function writeCaveatSet(writer: WireWriter, caveats: readonly Caveat[]): void {
  writer.writeArrayHeader(2 * caveats.length)
  for (const caveat of caveats) writeCaveat(writer, caveat)
}

/** A packed set of its own, as tickets, third-party settings and the published vectors hold it. */
export function encodeCaveatSet(caveats: readonly Caveat[]): Buffer {
  const writer = new WireWriter()
  writeCaveatSet(writer, caveats)
  return writer.finish()
}

/** @throws MacaroonError macaroon.malformed, macaroon.truncated, macaroon.over_limit */
export function decodeCaveatSet(bytes: Uint8Array): Caveat[] {
  const reader = new WireReader(Buffer.from(bytes)) // a copy: unknown caveats keep views
  return readCaveats(reader, reader.readArrayHeader())
}

/**
 * The JSON form. An unknown caveat has none in the original; here it shows its number and, as
 * `packed`, its body in base64, and does not read back.
 */
export function caveatToJson(caveat: Caveat): ExactJson {
  const kind = kindOf(caveat)
  if (kind !== undefined) return { type: kind.type, body: kind.body.toJson(caveat.body) }
  const { number, body } = caveat as UnknownCaveat
  return { type: String(number), packed: Buffer.from(body).toString('base64') }
}

/**
 * Reads caveats that people write: a list of `{"type": NAME or number, "body": ...}`, or its text.
 *
 * @throws MacaroonError macaroon.bad_caveat: unknown types too, which have no JSON form.
 */
export function caveatsFromJson(json: string | ExactJson): Caveat[] {
  const value = typeof json === 'string' ? parseExactJson(json, 'macaroon.bad_caveat') : json
  if (!Array.isArray(value)) throw badJson('a list of caveats', value)
  return value.map((one: ExactJson) => caveatFromJson(one))
}

function caveatFromJson(json: ExactJson): Caveat {
  if (!isJsonObject(json)) throw badJson('caveats like {"type": "Action", "body": "r"}', json)
  const { type, body } = json
  const kind = typeof type === 'string' ? findKind(type) : undefined
  if (kind === undefined) {
    throw new MacaroonError('macaroon.bad_caveat', {
      what: 'no such type of caveat',
      values: { type: type ?? null },
      fix: `types are ${kinds.map((one) => one.type).join(', ')}`,
    })
  }
  if (body === undefined || body === null) throw badJson(`a body for ${kind.type}`, null)
  return { type: kind.type, body: kind.body.fromJson(body) } as Caveat
}

function findKind(type: string): AnyKind | undefined {
  if (!/^\d{1,20}$/.test(type)) return kindsByName.get(type)
  const number = BigInt(type)
  return number > UINT64_MAX ? undefined : kindsByNumber.get(wireInteger(number))
}

/** A caveat that the original cannot sign again, so no token with it ever verifies there. */
export function isUnsignable(caveat: Caveat): boolean {
  if (caveat.type === 'unknown') return caveat.body[0] === 0xc0
  return caveat.type === 'IfPresent' && caveat.body.ifs?.some(isUnsignable) === true
}
