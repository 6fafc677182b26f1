import type { KeptImage } from './image-depot.ts'

/** An app whose images are looked at. */
export interface ImageOwner {
  readonly createdAtMs: number
  /** A machine has it, or would get it with the next one: of the release that counts. */
  uses(image: KeptImage): boolean
}

export interface ImagesAround {
  readonly nowMs: number
  /** Undefined: there is no such app. */
  ownerOf(app: string): ImageOwner | undefined
  /** To be freed for what is coming. */
  readonly bytesWanted: number
}

/** A deploy may be on its way from the image to the machine; clocks of gateways differ. */
export const IMAGE_FRESH_MS = 60 * 60_000

/**
 * Images that are to go: those of apps that are gone, or of an older app of the same name; then, where room is wanted, the
 * oldest that nothing uses. Pure.
 */
export function imagesToGo(
  images: readonly KeptImage[],
  { nowMs, ownerOf, bytesWanted }: ImagesAround,
): KeptImage[] {
  const going: KeptImage[] = []
  const spare: KeptImage[] = []
  for (const image of images) {
    const owner = ownerOf(image.app)
    if (owner?.uses(image)) continue
    const isOfOlderApp = owner !== undefined && image.keptAtMs < owner.createdAtMs - IMAGE_FRESH_MS
    if (owner === undefined || isOfOlderApp) going.push(image)
    else if (image.keptAtMs < nowMs - IMAGE_FRESH_MS) spare.push(image)
  }
  let wanted = bytesWanted
  for (const image of spare.sort((one, other) => one.keptAtMs - other.keptAtMs)) {
    if (wanted <= 0) break
    going.push(image)
    wanted -= image.bytes
  }
  return going
}
