import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { DEVICE_ID_PATTERN, type DeviceId } from '../device-id.ts'
import { VolumeError } from '../errors.ts'

const Id = Type.Unsafe<DeviceId>(Type.String({ pattern: DEVICE_ID_PATTERN.source }))
const Holder = Type.Object({ holder: Id, isReadOnly: Type.Boolean() })

/** What lies beside a device's bytes, as JSON. */
const DeviceRecord = Type.Object({
  version: Type.Literal(1),
  made: Type.Union([Type.Literal('empty'), Type.Literal('imported'), Type.Literal('cloned')]),
  origin: Type.Optional(Id),
  isReadOnly: Type.Boolean(),
  holders: Type.Array(Holder),
})
export type DeviceRecord = Static<typeof DeviceRecord>

export const formatRecord = (record: DeviceRecord): string => `${JSON.stringify(record, null, 2)}\n`

/** @throws VolumeError volume.pool_broken */
export function parseRecord(text: string, path: string): DeviceRecord {
  try {
    return Value.Parse(DeviceRecord, JSON.parse(text))
  } catch (cause) {
    throw new VolumeError('volume.pool_broken', {
      what: 'the record of a device cannot be read',
      values: { path },
      fix: 'restore it, or remove its folder and with it the device',
      cause,
    })
  }
}
