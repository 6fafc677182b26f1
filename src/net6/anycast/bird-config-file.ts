import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorCode } from '#base'
import type { BirdControl } from '#bird'

/** BIRD may have dropped its privileges; there is no secret in it. */
const MODE = 0o644

/**
 * A configuration file of BIRD that this daemon writes. It takes its place when BIRD has read it, so one that says the same
 * already was read: reading it again would withdraw what is announced, as the file has that disabled.
 */
export class BirdConfigFile {
  readonly #path: string
  readonly #text: string
  #state: 'unknown' | 'unread' | 'read' = 'unknown'

  /** @param path without quotes and blanks */
  constructor(path: string, text: string) {
    this.#path = path
    this.#text = text
  }

  /**
   * Has BIRD read the file, unless it has.
   * @throws BirdError bird.refused: the old file stays; bird.unreachable: the file is there for a BIRD that starts;
   * a system error when the file cannot be written
   */
  async apply(bird: BirdControl): Promise<void> {
    if (this.#state === 'unknown' && this.#present() === this.#text) this.#state = 'read'
    if (this.#state === 'read') return
    const next = `${this.#path}.next`
    mkdirSync(dirname(next), { recursive: true })
    writeFileSync(next, this.#text)
    chmodSync(next, MODE) // whatever the mask of this process
    try {
      await bird.configure(next)
    } catch (error) {
      this.#state = 'unread'
      if (errorCode(error) === 'bird.refused') rmSync(next)
      else renameSync(next, this.#path)
      throw error
    }
    renameSync(next, this.#path)
    this.#state = 'read'
  }

  #present(): string | undefined {
    try {
      return readFileSync(this.#path, 'utf8')
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }
}
