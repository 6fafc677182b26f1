import { ACTIONS_ALL, type ActionMask, parseActions, printActions } from './action.ts'
import { encodeText, showText } from './byte-text.ts'
import type { ResourceSet } from './caveat.ts'
import { MacaroonError, malformed } from './errors.ts'
import type { ExactJson } from './exact-json.ts'
import {
  INT64_MAX,
  INT64_MIN,
  isIntegerWithin,
  UINT64_MAX,
  type WireInteger,
} from './wire-integer.ts'
import type { WireReader } from './wire-reader.ts'
import type { WireWriter } from './wire-writer.ts'

/**
 * Both forms of one field of a caveat: MessagePack, which is signed, and JSON, which people write.
 * A field that JSON leaves out or gives as null is `zero`, as in Go.
 */
export interface Codec<T> {
  read(reader: WireReader): T
  write(writer: WireWriter, value: T): void
  toJson(value: T): ExactJson
  /** @throws MacaroonError macaroon.bad_caveat */
  fromJson(json: ExactJson): T
  readonly zero: T
}

export function badJson(expected: string, got: ExactJson): MacaroonError {
  return new MacaroonError('macaroon.bad_caveat', {
    what: `the JSON of a caveat wants ${expected}`,
    values: { got: typeof got === 'object' ? 'an object or list' : got },
  })
}

const integer = (min: WireInteger, max: WireInteger, read: Codec<WireInteger>['read']) => ({
  read,
  write: (writer: WireWriter, value: WireInteger) => writer.writeInteger(value),
  toJson: (value: WireInteger) => value,
  fromJson(json: ExactJson) {
    if (!isIntegerWithin(json, min, max)) throw badJson(`an integer of ${min} to ${max}`, json)
    return json
  },
  zero: 0,
})

export const unsigned: Codec<WireInteger> = integer(0, UINT64_MAX, (reader) =>
  reader.readUnsigned(),
)
export const signed: Codec<WireInteger> = integer(INT64_MIN, INT64_MAX, (reader) =>
  reader.readSigned(),
)

const UINT32_MAX = 2 ** 32 - 1
export const unsigned32: Codec<number> = integer(0, UINT32_MAX, (reader) =>
  reader.readUnsignedWithin(UINT32_MAX),
) as Codec<number>

export const actions: Codec<ActionMask> = {
  read: (reader) => reader.readUnsignedWithin(ACTIONS_ALL),
  write: (writer, mask) => writer.writeInteger(mask),
  toJson: printActions,
  fromJson(json) {
    if (typeof json !== 'string') throw badJson('actions as letters, like "rw" or "*"', json)
    return parseActions(json)
  },
  zero: 0,
}

export const text: Codec<string> = {
  read: (reader) => reader.readText(),
  write: (writer, value) => writer.writeText(value),
  toJson: showText,
  fromJson(json) {
    if (typeof json !== 'string') throw badJson('text', json)
    return json.toWellFormed()
  },
  zero: '',
}

export const boolean: Codec<boolean> = {
  read: (reader) => reader.readBoolean(),
  write: (writer, value) => writer.writeBoolean(value),
  toJson: (value) => value,
  fromJson(json) {
    if (typeof json !== 'boolean') throw badJson('true or false', json)
    return json
  },
  zero: false,
}

export const bytes: Codec<Uint8Array | null> = {
  read: (reader) => (reader.skipNil() ? null : reader.readBytes()),
  write(writer, value) {
    if (value === null) writer.writeNil()
    else writer.writeBytes(value)
  },
  toJson: (value) => (value === null ? null : Buffer.from(value).toString('base64')),
  fromJson(json) {
    const decoded = typeof json === 'string' ? Buffer.from(json, 'base64') : undefined
    if (decoded?.toString('base64') !== json) throw badJson('bytes as padded base64', json)
    return decoded ?? null
  },
  zero: null,
}

/** An array, or Go's nil slice. */
export function listOf<T>(element: Codec<T>): Codec<readonly T[] | null> {
  return {
    read(reader) {
      if (reader.skipNil()) return null
      const list: T[] = []
      const count = reader.readArrayHeader()
      for (let index = 0; index < count; index += 1) list.push(element.read(reader))
      return list
    },
    write(writer, list) {
      if (list === null) return writer.writeNil()
      writer.writeArrayHeader(list.length)
      for (const one of list) element.write(writer, one)
    },
    toJson: (list) => list?.map((one) => element.toJson(one)) ?? null,
    fromJson(json) {
      if (!Array.isArray(json)) throw badJson('a list', json)
      return json.map((one: ExactJson) => fromJsonOrZero(element, one))
    },
    zero: null,
  }
}

export function fromJsonOrZero<T>(codec: Codec<T>, json: ExactJson | undefined): T {
  return json === undefined || json === null ? codec.zero : codec.fromJson(json)
}

/** A field of a struct: property here, name in JSON, codec. JSON leaves out `omitsZero` at zero. */
export interface Field<T, Key extends keyof T & string = keyof T & string> {
  readonly key: Key
  readonly json: string
  readonly codec: Codec<T[Key]>
  readonly omitsZero?: true
}

export type Fields<T> = readonly { [Key in keyof T & string]: Field<T, Key> }[keyof T & string][]

/** A Go struct: an array of its fields in order; all are present. */
export function struct<T extends object>(what: string, fields: Fields<T>): Codec<T> {
  const each = fields as readonly Field<T>[]
  const build = (pick: (field: Field<T>) => unknown) =>
    Object.fromEntries(each.map((field) => [field.key, pick(field)])) as T
  return {
    read(reader) {
      reader.readTuple(each.length, what)
      const value: Partial<T> = {}
      for (const { key, codec } of each) value[key] = codec.read(reader)
      return value as T
    },
    write(writer, value) {
      writer.writeArrayHeader(each.length)
      for (const { key, codec } of each) codec.write(writer, value[key])
    },
    toJson: (value) =>
      Object.fromEntries(
        each
          .filter(({ key, codec, omitsZero }) => !(omitsZero && value[key] === codec.zero))
          .map(({ key, json, codec }) => [json, codec.toJson(value[key])]),
      ),
    fromJson(json) {
      const given = fieldsOf(
        json,
        each.map((field) => field.json),
      )
      return build(({ json: name, codec }) => fromJsonOrZero(codec, given.get(name)))
    },
    get zero() {
      return build(({ codec }) => codec.zero)
    },
  }
}

/** A misspelt field would silently widen or void a caveat, so unknown names are refused. */
function fieldsOf(json: ExactJson, names: readonly string[]): Map<string, ExactJson> {
  if (!isJsonObject(json)) throw badJson(`an object of ${names.join(', ') || 'no fields'}`, json)
  const given = new Map(Object.entries(json))
  for (const name of given.keys()) {
    if (!names.includes(name)) {
      throw new MacaroonError('macaroon.bad_caveat', {
        what: 'no such field of this caveat',
        values: { field: name, known: names },
      })
    }
  }
  return given
}

export function isJsonObject(json: ExactJson): json is { readonly [key: string]: ExactJson } {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

/** How the ids of a resource set are read, ordered and named in JSON. */
interface IdForm<Id> {
  readonly codec: Codec<Id>
  compare(a: Id, b: Id): number
  /** @throws MacaroonError macaroon.bad_caveat */
  fromKey(key: string): Id
}

const compareIntegers = (a: WireInteger, b: WireInteger) => (a < b ? -1 : a > b ? 1 : 0)

export const integerIds: IdForm<WireInteger> = {
  codec: unsigned,
  compare: compareIntegers,
  fromKey(key) {
    if (!/^\d{1,20}$/.test(key)) throw badJson('ids in decimal digits', key)
    const id = BigInt(key)
    return unsigned.fromJson(id <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(id) : id)
  },
}

/** By UTF-8 bytes. The order of UTF-16 is another one from the surrogates on. */
function compareTexts(a: string, b: string): number {
  if (BELOW_SURROGATES.test(a) && BELOW_SURROGATES.test(b)) return a < b ? -1 : a > b ? 1 : 0
  return Buffer.compare(encodeText(a), encodeText(b))
}

const BELOW_SURROGATES = /^[\u0000-\ud7ff]*$/

export const textIds: IdForm<string> = {
  codec: text,
  compare: compareTexts,
  fromKey: (key) => key.toWellFormed(),
}

/** A map from id to actions, sorted by id, or Go's nil map. */
export function resourceSetOf<Id extends WireInteger | string>(
  ids: IdForm<Id>,
): Codec<ResourceSet<Id>> {
  return {
    read(reader) {
      if (reader.skipNil()) return null
      const set = new Map<Id, ActionMask>()
      let last: Id | undefined
      for (let left = reader.readMapHeader(); left > 0; left -= 1) {
        const id = ids.codec.read(reader)
        if (last !== undefined && ids.compare(last, id) >= 0) {
          throw malformed('ids of a resource set are not sorted', { id, offset: reader.offset })
        }
        set.set(id, actions.read(reader))
        last = id
      }
      return set
    },
    write(writer, set) {
      if (set === null) return writer.writeNil()
      writer.writeMapHeader(set.size)
      for (const [id, mask] of [...set].sort(([a], [b]) => ids.compare(a, b))) {
        ids.codec.write(writer, id)
        actions.write(writer, mask)
      }
    },
    toJson: (set) =>
      set === null
        ? null
        : Object.fromEntries(
            [...set].map(([id, mask]) => [String(ids.codec.toJson(id)), printActions(mask)]),
          ),
    fromJson(json) {
      if (!isJsonObject(json)) throw badJson('an object of ids and actions', json)
      return new Map(
        Object.entries(json).map(([key, mask]) => [
          ids.fromKey(key),
          fromJsonOrZero(actions, mask),
        ]),
      )
    },
    zero: null,
  }
}
