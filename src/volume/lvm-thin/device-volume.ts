/**
 * How a device is written down as a logical volume. Its name and tags are all there is: what it is made of and who
 * holds it, so that each change is one commit of LVM.
 *
 *   d.ID   a device; `_` of the id is written `.`, for LVM keeps names with some words after `_` to itself
 *   t.*    a device that is being imported
 */
import type { Device, DeviceHolder } from '../block-driver.ts'
import { type DeviceId, parseDeviceId } from '../device-id.ts'
import { VolumeError } from '../errors.ts'
import type { Making } from '../same-device.ts'
import type { LogicalVolume } from './lvm.ts'

export const volumeName = (id: DeviceId): string => `d.${id.replaceAll('_', '.')}`
const idOf = (name: string) => parseDeviceId(name.slice(2).replaceAll('.', '_'))

/** For lvcreate: a device is made inactive, and no host that starts activates it. */
export function makingWords({ made, origin }: Making): string[] {
  const tags = [`made=${made}`, ...(origin === undefined ? [] : [`origin=${origin}`])]
  const inactive = ['--activate', 'n', '--setactivationskip', 'y']
  return ['--yes', ...inactive, ...tags.flatMap((tag) => ['--addtag', tag])]
}

/** For lvchange; empty when nothing changes. */
export function holderWords(
  before: readonly DeviceHolder[],
  after: readonly DeviceHolder[],
): string[] {
  const [old, wanted] = [before.map(holderTag), after.map(holderTag)]
  return [
    ...old.filter((tag) => !wanted.includes(tag)).flatMap((tag) => ['--deltag', tag]),
    ...wanted.filter((tag) => !old.includes(tag)).flatMap((tag) => ['--addtag', tag]),
  ]
}

const holderTag = ({ holder, isReadOnly }: DeviceHolder) => `${isReadOnly ? 'r' : 'w'}=${holder}`

/** @throws VolumeError volume.pool_broken when it is not one of ours. */
export function deviceOf({ name, sizeBytes, tags, isReadOnly }: LogicalVolume): Device {
  const tagValue = (key: string) =>
    tags.find((tag) => tag.startsWith(`${key}=`))?.slice(key.length + 1)
  const origin = tagValue('origin')
  const made = (['empty', 'imported', 'cloned'] as const).find((one) => one === tagValue('made'))
  if (made === undefined) throw foreign(name)
  const holders = tags.flatMap((tag) => {
    const [, kind, holder] = /^([rw])=(.*)$/.exec(tag) ?? []
    return holder === undefined ? [] : [{ holder: parseDeviceId(holder), isReadOnly: kind === 'r' }]
  })
  return {
    ...{ id: idOf(name), sizeBytes, made, isReadOnly, holders },
    ...(origin === undefined ? {} : { origin: parseDeviceId(origin) }),
  }
}

function foreign(name: string): VolumeError {
  return new VolumeError('volume.pool_broken', {
    what: 'a logical volume of the pool that is not ours',
    values: { name },
    fix: 'rename it, so that it does not begin with d.',
  })
}
