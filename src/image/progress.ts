/** How far a transfer is, in bytes of the image as its registry has it: compressed. */
export interface Progress {
  readonly doneBytes: number
  readonly totalBytes: number
}

/** Called at most once for each piece of bytes; must return soon. */
export type OnProgress = (progress: Progress) => void
