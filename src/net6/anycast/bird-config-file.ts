import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorCode } from '#base'
import type { BirdControl } from '#bird'

/** BIRD may have dropped its privileges; there is no secret in it. */
const MODE = 0o644

/** A configuration file of BIRD that this daemon writes, and that BIRD has read or not. */
export class BirdConfigFile {
  readonly #path: string
  readonly #text: string
  #isRead = false

  constructor(path: string, text: string) {
    this.#path = path
    this.#text = text
  }

  /**
   * Writes the file where it says something else, and has BIRD read it, once in the life of this daemon: a BIRD that starts
   * later reads it by itself.
   * @throws BirdError bird.unreachable, bird.refused; a system error when the file cannot be written
   */
  async apply(bird: BirdControl): Promise<void> {
    if (this.#isRead) return
    if (this.#present() !== this.#text) this.#write()
    await bird.configure()
    this.#isRead = true
  }

  #present(): string | undefined {
    try {
      return readFileSync(this.#path, 'utf8')
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  #write(): void {
    mkdirSync(dirname(this.#path), { recursive: true })
    const next = `${this.#path}.next`
    writeFileSync(next, this.#text)
    chmodSync(next, MODE) // whatever the mask of this process
    renameSync(next, this.#path)
  }
}
