import { ImageError } from '#image'
import {
  type ImageSourceName,
  type MachineImages,
  type PreparedImage,
  type PrepareOptions,
  planMachine,
} from '#machine'
import { LocalError } from './errors.ts'
import { ImageReferences } from './image-references.ts'
import type { LocalHost } from './local-host.ts'
import type { LocalRecord } from './machine-record.ts'
import type { MachineRequest, PreparationView, PullPolicy } from './machine-request.ts'

export interface Preparation {
  readonly source: ImageSourceName
  readonly pull: PullPolicy
  readonly stopSignal?: string | undefined
  readonly view?: PreparationView | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes everything that a recorded machine needs to boot: image, network, disks. Repeated, it finds what is
 * there. Who dies or fails in here leaves it to whoever removes the machine.
 *
 * @returns the record with its plan.
 */
export async function prepareMachine(
  host: LocalHost,
  record: LocalRecord,
  { view = {}, signal, ...preparation }: Preparation,
): Promise<LocalRecord> {
  const { id, networkIndex, runtime } = record
  const options = { signal, ...(view.onWait === undefined ? {} : { onWait: view.onWait }) }
  return await host.withImages(async (images) => {
    const progress = { signal, onPull: view.onPull, onUnpack: view.onUnpack }
    using image = await bringImage(host, images, preparation, progress)
    await images.keep(id, image)
    const network =
      networkIndex === undefined ? undefined : await host.networks(runtime).make(id, networkIndex)
    const config = { ...record.config, ...(network === undefined ? {} : { network }) }
    const { disks } = await host.disks()
    const prepared = await disks.prepare(id, config, image.basePath, signal)
    const plan = planMachine({ id, config, image, disks: prepared })
    await trim(host, images)
    return {
      ...record,
      ...{ config, plan, userFiles: image.userFiles },
      image: { ...record.image, digest: image.digest },
      stopSignal: preparation.stopSignal ?? image.config.stopSignal,
    }
  }, options)
}

async function bringImage(
  host: LocalHost,
  images: MachineImages,
  { source, pull }: Pick<Preparation, 'source' | 'pull'>,
  options: PrepareOptions,
): Promise<PreparedImage> {
  if (source.kind !== 'registry') return await images.prepare(source, options)
  const references = new ImageReferences(host.folders.references)
  const digest = references.find(source.reference)
  if (pull !== 'always' && digest !== undefined) {
    const found = await images.prepare({ kind: 'cached', digest }, options).catch(ifMissing)
    if (found !== undefined) return found
  }
  if (pull === 'never') {
    throw new LocalError('local.not_found', {
      what: 'the image is not here',
      values: { image: source.reference },
      fix: 'leave out --pull never',
    })
  }
  const image = await images.prepare(source, options)
  references.remember(source.reference, image.digest)
  return image
}

function ifMissing(error: unknown): undefined {
  if (error instanceof ImageError && error.code === 'image.not_found') return undefined
  throw error
}

/** What is too much of images goes, and then the pool's bases that nothing came from. */
async function trim(host: LocalHost, images: MachineImages): Promise<void> {
  if ((await images.collect()) > 0) await (await host.disks()).roots.collect()
}

export const defaultName = (image: MachineRequest['image']): string => {
  const text = image.kind === 'registry' ? image.reference : (image.name ?? image.path)
  const last = text.replace(/@.*$/, '').split('/').at(-1) ?? ''
  const name = last.replace(/[:.].*$/, '').replaceAll(/[^A-Za-z0-9-]+/g, '-')
  return name.replace(/^-+|-+$/g, '').toLowerCase() || 'machine'
}
