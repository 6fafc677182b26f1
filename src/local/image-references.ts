import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { errorCode } from '#base'
import { type Digest, formatReference, parseDigest, parseReference } from '#image'

/** Which digest each reference had when it was last pulled. Who writes holds the lock of the images. */
export class ImageReferences {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** A reference with a digest names that. @throws ImageError image.reference_bad */
  find(reference: string): Digest | undefined {
    const parsed = parseReference(reference)
    if (parsed.digest !== undefined) return parsed.digest
    const digest = this.#read()[formatReference(parsed)]
    return digest === undefined ? undefined : parseDigest(digest)
  }

  remember(reference: string, digest: Digest): void {
    const all = { ...this.#read(), [formatReference(parseReference(reference))]: digest }
    writeFileSync(`${this.#path}.new`, JSON.stringify(all), { mode: 0o600 })
    renameSync(`${this.#path}.new`, this.#path)
  }

  /** A file that is damaged costs a pull. */
  #read(): Record<string, string> {
    try {
      return JSON.parse(readFileSync(this.#path, 'utf8'))
    } catch (error) {
      if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return {}
      throw error
    }
  }
}
