import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errorCode } from '#base'
import type { FlapsClient } from '#flaps-client'
import { BlobStore, type Descriptor, importImage, type OnProgress } from '#image'

/** As large as the server takes at once. */
const PIECE_BYTES = 8 << 20
const STORE_BYTES_MAX = 2 ** 40

export interface PushOptions {
  /** Which of its images; needed when the archive holds several. */
  readonly name?: string
  readonly onProgress?: OnProgress
  readonly signal?: AbortSignal
}

/**
 * Brings an image from files to an app's gateway: an OCI layout (a folder or a tar), or what `docker save` wrote.
 * What the gateway has already is not sent again; an upload that broke off goes on where it was.
 *
 * @returns the reference by which machines of the app run it
 * @throws ImageError: no image; ApiError
 */
export async function pushImage(
  client: FlapsClient,
  app: string,
  path: string,
  { name, onProgress, signal }: PushOptions = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'godwit-push-'))
  try {
    const store = await BlobStore.open({ folder, bytesMax: STORE_BYTES_MAX })
    const options = { signal, ...(name === undefined ? {} : { name }) }
    using image = await importImage(store, path, options)
    const { config, layers } = image.manifest
    const blobs = [config, ...layers]
    const totalBytes = blobs.reduce((sum, { size }) => sum + size, 0)
    let doneBytes = 0
    for (const blob of blobs) {
      await pushBlob(client, app, { blob, path: store.pathOf(blob.digest) }, signal, (bytes) =>
        onProgress?.({ doneBytes: doneBytes + bytes, totalBytes }),
      )
      doneBytes += blob.size
    }
    const manifest = await store.read(image.digest)
    if (manifest === undefined) throw new Error('a held blob is gone')
    return (await client.images(app).create(manifest, { signal })).image
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function pushBlob(
  client: FlapsClient,
  app: string,
  { blob: { digest, size }, path }: { blob: Descriptor; path: string },
  signal: AbortSignal | undefined,
  tell: (bytes: number) => void,
): Promise<void> {
  const file = await open(path)
  try {
    let { have, complete } = await client.images(app).blob(digest, { signal })
    for (let conflicts = 0; !complete; ) {
      tell(have)
      const piece = Buffer.alloc(Math.min(PIECE_BYTES, size - have))
      await file.read(piece, 0, piece.length, have)
      try {
        const place = { digest, size, offset: have }
        ;({ have, complete } = await client.images(app).uploadPiece(place, piece, { signal }))
      } catch (error) {
        // An answer that was lost, or somebody else who sends the same: what the server has is what counts.
        conflicts += 1
        if (errorCode(error) !== 'api.conflict' || conflicts > CONFLICTS_MAX) throw error
        ;({ have, complete } = await client.images(app).blob(digest, { signal }))
      }
    }
    tell(size)
  } finally {
    await file.close()
  }
}

const CONFLICTS_MAX = 5
