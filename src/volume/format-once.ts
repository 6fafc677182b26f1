import type { BlockDriver, Device } from './block-driver.ts'
import { type DeviceId, parseDeviceId } from './device-id.ts'
import { deviceSize } from './device-size.ts'
import { VolumeError } from './errors.ts'
import { runTool } from './run-tool.ts'

/** `raw` is left as it is: zeros. */
export type VolumeFormat = 'ext4' | 'xfs' | 'raw'

const HOLDER = parseDeviceId('format')
/** Nothing is reserved for root: who fills a volume is root. An empty device has nothing to discard. */
const makers = {
  ext4: ['mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'nodiscard'],
  xfs: ['mkfs.xfs', '-q', '-f', '-K'],
} as const

/**
 * Makes a device with an empty file system. It appears with all of it or not at all, so that one that is
 * there is never formatted again, whatever is on it. One caller at a time for each id.
 *
 * @throws VolumeError volume.exists when it is there in another size, and what the driver throws.
 */
export async function formatOnce(
  driver: BlockDriver,
  id: DeviceId,
  { sizeBytes, format }: { readonly sizeBytes: number; readonly format: VolumeFormat },
  signal?: AbortSignal,
): Promise<Device> {
  if (format === 'raw') return await driver.create(id, sizeBytes, signal)
  const draft = parseDeviceId(`new-${id}`)
  const there = await driver.find(id, signal)
  await removeDraft(driver, draft, signal) // also what a process left that died in here
  if (there !== undefined) return sameSize(there, deviceSize(sizeBytes))
  await driver.create(draft, sizeBytes, signal)
  const { path } = await driver.attach(draft, { holder: HOLDER }, signal)
  // Encryption at rest belongs between the device and the file system: here, and after each attach.
  const [command, ...words] = makers[format]
  await runTool(command, [...words, path], { signal })
  await driver.detach(draft, HOLDER, signal)
  const made = await driver.clone(id, draft, {}, signal)
  await removeDraft(driver, draft, signal)
  return made
}

async function removeDraft(driver: BlockDriver, draft: DeviceId, signal?: AbortSignal) {
  await driver.detach(draft, HOLDER, signal)
  await driver.remove(draft, signal)
}

function sameSize(device: Device, sizeBytes: number): Device {
  if (device.sizeBytes === sizeBytes) return device
  throw new VolumeError('volume.exists', {
    what: 'the volume is there in another size',
    values: { id: device.id, bytes: device.sizeBytes, wantedBytes: sizeBytes },
    fix: 'extend it',
  })
}
