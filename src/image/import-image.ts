import { openArchive } from './archive-files.ts'
import type { BlobStore } from './blob-store.ts'
import { bringImage, type PulledImage, type PullOptions } from './bring-image.ts'
import { openDockerArchive } from './docker-archive.ts'
import { ImageError } from './errors.ts'
import { LOCAL_WAITS } from './http-exchange.ts'
import { openOciLayout } from './oci-layout.ts'

/**
 * Brings a saved image into the store, as `pullImage` does one of a registry: an OCI layout (a folder
 * or a tar) or the tar of `docker save`. What is both is read as an OCI layout.
 *
 * @param options.name which of its images; needed when the archive holds several.
 * @throws ImageError
 */
export async function importImage(
  store: BlobStore,
  path: string,
  options: PullOptions & { readonly name?: string } = {},
): Promise<PulledImage> {
  const { name, signal } = options
  const files = await openArchive(path, signal)
  if ((await files.find('oci-layout')) && (await files.find('index.json'))) {
    const { source, asked } = await openOciLayout(files, LOCAL_WAITS, name)
    return await bringImage(source, store, options, asked)
  }
  if (await files.find('manifest.json')) {
    return await bringImage(
      await openDockerArchive(files, LOCAL_WAITS, name, signal),
      store,
      options,
    )
  }
  throw new ImageError('image.archive_bad', {
    what: 'not an image archive',
    values: { path, why: 'it has neither oci-layout and index.json nor manifest.json' },
    fix: 'save one with docker save, podman save, or skopeo copy to oci: or docker-archive:',
  })
}
