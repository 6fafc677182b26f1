import { join } from 'node:path'

/** Where the local mode keeps what; `root` must be short, because sockets lie below. */
export interface LocalFolders {
  readonly root: string
  readonly pool: string
  readonly guests: string
  readonly machines: string
  readonly lock: string
  readonly imagesLock: string
  /** Which digest a reference had when it was last pulled. */
  readonly references: string
}

export const DEFAULT_ROOT = '/var/lib/godwit/local'

export const localFolders = (root: string): LocalFolders => ({
  root,
  pool: join(root, 'pool'),
  guests: join(root, 'guests'),
  machines: join(root, 'machines'),
  lock: join(root, 'lock'),
  imagesLock: join(root, 'images.lock'),
  references: join(root, 'references.json'),
})
