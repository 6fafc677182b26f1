import type { KeptImage } from './answers.ts'
import type { Call } from './call.ts'
import { ResourceClient } from './resource-client.ts'

export interface BlobProgress {
  /** Bytes from the beginning on. */
  readonly have: number
  readonly complete: boolean
}

/** The images that were brought for one app, by digest (`sha256:...`). */
export class ImagesClient extends ResourceClient {
  /** How much of a blob this app has brought. */
  blob(digest: string, call?: Call): Promise<BlobProgress> {
    return this.caller.call('GET', `${this.path}/blobs/${digest}`, call)
  }

  /** Brings the next piece of a blob. @throws ApiError api.conflict: it is not the next one */
  uploadPiece(
    { digest, size, offset }: { digest: string; size: number; offset: number },
    bytes: Buffer,
    call?: Call,
  ): Promise<BlobProgress> {
    const options = { ...call, bytes, query: { offset, size } }
    return this.caller.call('POST', `${this.path}/blobs/${digest}`, options)
  }

  /** Makes the blobs that were brought an image: its manifest. @returns how machines name it */
  create(manifest: Buffer, call?: Call): Promise<{ digest: string; image: string }> {
    return this.caller.call('POST', this.path, { ...call, bytes: manifest })
  }

  /** Those that the gateway that answers has; the newest first. */
  async list(call?: Call): Promise<readonly KeptImage[]> {
    return (await this.caller.call<{ images: KeptImage[] }>('GET', this.path, call)).images
  }

  /** @throws ApiError: a machine or the current release uses it */
  async remove(digest: string, call?: Call): Promise<void> {
    await this.caller.call('DELETE', `${this.path}/${digest}`, call)
  }
}
